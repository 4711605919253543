"""Every route by every role, everywhere and in places, on own and other flags and environments. None may be missing."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import flask
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import Rule

from control_plane.platform.auth import account_store, accounts, authentication
from control_plane.platform.auth.own_sessions import SESSION_LIFETIME
from control_plane.platform.db.database import transaction
from control_plane.platform.identity_types import Grant, Role
from tests.control_plane.access_table import BY_WORD, ELSEWHERE, OPEN, ROLES, TOKENS
from tests.people import PASSWORD_HASH

pytestmark = pytest.mark.database("sqlite")

ROOT = Path(__file__).parents[2]
RANK = list(Role)
HERE = "production"
MINE, THEIRS = "MINE", "THEIRS"
PLACES = [(MINE, HERE), (MINE, "staging"), (THEIRS, HERE)]
OF_STAGING = f"{MINE}@staging"
NO_TOKEN = "*:production.v2_" + "A" * 22 + "_" + "B" * 43
READS_FLAGS = ("ofrep", "frontend_api")
"""Protocols in which even POST only reads."""
GRANTS = {
    **{f"everywhere-{role}": (Grant(role),) for role in Role},
    **{
        f"{role}-{flag}-{environment}": (Grant(Role.VIEWER), Grant(role, flag, environment))
        for role in (Role.OPERATOR, Role.OWNER)
        for flag, environment in ((MINE, HERE), (MINE, "staging"), ("*", "staging"))
    },
}
"""What people may, by name."""


@dataclass(frozen=True)
class Call:
    """One request, the role that it needs and what it is about."""

    method: str
    path: str
    role: str
    flag: str
    environment: str

    def is_open_to(self, grants: tuple[Grant, ...]) -> bool:
        """Return the rule, once more and in other words: some grant is high enough and wide enough."""
        flag, environment = ("*", "*") if self.role == "admin" else (self.flag, self.environment)
        return any(
            RANK.index(grant.role) >= RANK.index(Role(self.role))
            and grant.flag in ("*", flag)
            and grant.environment in ("*", environment)
            for grant in grants
        )


def calls(rule: Rule, role: str, **words: str) -> Iterator[Call]:
    """Yield the route for my flag and theirs, here and in staging, as far as its address says so."""
    places = [*PLACES, (OF_STAGING, HERE)] if _may_be_of_staging(rule) else PLACES
    for flag, environment in places:
        fixed = {"verb": _verb(rule), "effect": "allow", "document": "plans"}
        chosen = {"flag": flag, "environment": environment, **fixed} | words
        values = {name: chosen.get(name, 99999 if "int:" in rule.rule else "x") for name in rule.arguments}
        about = str(values.get("flag", "*")), str(values.get("environment", HERE))
        if flag == OF_STAGING:
            about = MINE, "staging"
        assert rule.map is not None
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield Call(method, rule.map.bind("localhost").build(rule.endpoint, values, method=method), role, *about)


def _may_be_of_staging(rule: Rule) -> bool:
    """Return whether the address takes the name of a rollout; giving one back takes the flag in production besides."""
    named = "flag" in rule.arguments and "environment" not in rule.arguments
    return named and rule.endpoint != "rollouts.delete"


def _verb(rule: Rule) -> str:
    own = {"credits": "freeze", "environments": "off"}
    return next((verb for word, verb in own.items() if word in rule.rule), "rollback")


def role_calls(app: Flask) -> Iterator[Call]:
    for rule in app.url_map.iter_rules():
        if rule.endpoint in ROLES:
            yield from calls(rule, ROLES[rule.endpoint])
        for word, role in BY_WORD.get(rule.endpoint, {}).items():
            yield from calls(rule, role, verb=word, effect=word, document=word)


def refusal(client: FlaskClient, call: Call, token: str = "") -> tuple[int, str]:
    """Return status and code of a refusal; status 0 if the request got in, whatever became of it."""
    body: dict[str, str] | None = (
        {} if call.method not in ("GET",) and not call.path.startswith(("/people", "/account")) else None
    )
    headers = {"Accept": "application/json"} | ({"Authorization": token} if token else {})
    with client.open(call.path, method=call.method, json=body, headers=headers) as answer:
        if answer.status_code not in (401, 403):
            return 0, ""
        return answer.status_code, str((answer.get_json(silent=True) or {}).get("code", ""))


@pytest.fixture
def browsers(app: Flask) -> Mapping[str, FlaskClient]:
    """A signed-in browser for each name in GRANTS."""
    return {name: _signed_in(app, name.replace("*", "any").lower(), *grants) for name, grants in GRANTS.items()}


def _signed_in(app: Flask, username: str, first: Grant, *rest: Grant) -> FlaskClient:
    client, now = app.test_client(), datetime.now(UTC)
    with app.test_request_context(), client.session_transaction() as cookie:
        with transaction() as session:
            added = account_store.add_person(
                session, username=username, password_hash=PASSWORD_HASH, role=first.role, now=now
            )
            assert added is not None
            accounts.change_grants(session, added.id, grants=rest, now=now, actor="system")
            person = accounts.find_person(session, added.id)
            number = accounts.begin_session(
                session, person, now=now, lifetime=SESSION_LIFETIME, address="::1", browser=""
            )
        authentication.remember(person, number, now=now)
        cookie.update(flask.session)
    return client


def test_the_table_names_every_route_once(app: Flask) -> None:
    parts = [set(ROLES), set(BY_WORD), set(TOKENS), set(ELSEWHERE), set(OPEN)]
    assert set.union(*parts) == {rule.endpoint for rule in app.url_map.iter_rules()}
    assert sum(map(len, parts)) == len(set.union(*parts))
    assert all((ROOT / place).exists() for place in ELSEWHERE.values())


def test_each_route_opens_to_those_whose_grants_are_high_and_wide_enough(
    app: Flask, browsers: Mapping[str, FlaskClient]
) -> None:
    made = list(role_calls(app))
    wrong = [
        (name, call)
        for call in made
        for name, grants in GRANTS.items()
        if (refusal(browsers[name], call) == (403, "ROLE_REQUIRED")) is call.is_open_to(grants)
    ]
    assert wrong == []
    assert len(made) * len(GRANTS) > 3_000


def test_admin_tokens_are_held_to_their_role_flags_and_environment(
    app: Flask, client: FlaskClient, make_token: Callable[..., str]
) -> None:
    tokens = {}
    for *_, grant in GRANTS.values():
        flags = [] if grant.flag == "*" else [grant.flag]
        tokens[make_token("admin", role=grant.role, environment=grant.environment, flags=flags)] = grant
    wrong = [
        (grant, call)
        for call in role_calls(app)
        for text, grant in tokens.items()
        if (refusal(client, call, text) == (403, "ROLE_REQUIRED")) is call.is_open_to((grant,))
    ]
    assert wrong == []


def test_a_route_for_programs_opens_to_its_types_of_token_alone(
    app: Flask, client: FlaskClient, make_token: Callable[..., str]
) -> None:
    tokens = {kind: make_token(kind) for kind in ("client", "frontend", "service", "admin")}
    limited = make_token("admin", role="owner", flags=[MINE], environment=HERE)
    wrong = []
    for rule in app.url_map.iter_rules():
        for call in calls(rule, "viewer") if rule.endpoint in TOKENS else ():
            for kind, text in tokens.items():
                if (refusal(client, call, text)[0] == 0) is not (kind in TOKENS[rule.endpoint]):
                    wrong.append((kind, rule.endpoint))
            writes = call.method == "POST" and not rule.endpoint.startswith(READS_FLAGS)
            if writes and refusal(client, call, limited)[0] != 403:
                wrong.append(("limited", rule.endpoint))
    assert wrong == []


def test_nobody_is_let_in_without_a_proof(app: Flask, client: FlaskClient) -> None:
    wrong, number = [], 0
    for rule in app.url_map.iter_rules():
        for call in calls(rule, "viewer") if rule.endpoint not in OPEN | set(ELSEWHERE) else ():
            for token in ("", NO_TOKEN):
                number += 1
                client.environ_base["REMOTE_ADDR"] = f"10.0.{number // 250}.{number % 250}"
                if refusal(client, call, token)[0] != 401:
                    wrong.append((call, token))
    assert wrong == []
