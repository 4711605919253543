"""Requests at random by those who may not: none is answered with a 5xx, and none changes anything that is decided."""

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import Rule

from control_plane.experiments.credits import FLAG
from control_plane.platform.auth import access, accounts, audit
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.identity_types import Grant, Person, Role
from control_plane.platform.settings import Settings
from control_plane.rollouts.store import load_all
from flags import store
from tests.installation import Installation

pytestmark = pytest.mark.database("sqlite")

ENDLESS = ("client_streaming.stream_view", "ofrep.events_view", "pages.live_alerts", "pages.live_rollout")
"""Answers that end when the reader leaves; `pages.live_rollouts` is one too."""
STRANGE = ("x" * 300, "é", "'\"<>", "\x00", "..")
WORDS = ("", "1", "0", "-1", FLAG, "production", "*", "alice", "olga", "admin", "true", *STRANGE)
FIELDS = """
username password role grants reason flag environment user userId expectedVersion active enabled name type token
code present again next hours minutes before since until cursor limit format
"""
NAMES = FIELDS.split()
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")


def a_value(chance: random.Random, depth: int = 0) -> Any:
    kind = chance.randrange(7 if depth < 3 else 4)
    match kind:
        case 0 | 1:
            return chance.choice(WORDS)
        case 2:
            return chance.choice([None, True, False, 0, -1, 2**63, 1.5])
        case 3:
            return chance.choice(["viewer", "owner", "admin", "2026-01-01T00:00:00Z", "P7D"])
        case 4:
            return [a_value(chance, depth + 1) for _ in range(chance.randrange(3))]
        case _:
            return {chance.choice(NAMES): a_value(chance, depth + 1) for _ in range(chance.randrange(5))}


def an_address(chance: random.Random, rule: Rule) -> str:
    path = rule.rule
    for name in rule.arguments:
        start = path.index("<", 0)
        end = path.index(">", start)
        is_number = "int:" in path[start:end]
        word = str(chance.choice([1, 2, 99, 2**63])) if is_number else quote(chance.choice([*WORDS, name]), safe="")
        path = path[:start] + (word or "x") + path[end + 1 :]
    if chance.random() < 0.4:
        path += "?" + "&".join(f"{chance.choice(NAMES)}={quote(chance.choice(WORDS))}" for _ in range(3))
    return path


def a_body(chance: random.Random) -> dict[str, Any]:
    match chance.randrange(5):
        case 0:
            return {}
        case 1:
            return {"json": a_value(chance)}
        case 2:
            return {"data": {name: chance.choice(WORDS) for name in chance.sample(NAMES, 4)}}
        case 3:
            return {"data": chance.randbytes(chance.randrange(60)), "content_type": "application/json"}
        case _:
            return {"json": {name: a_value(chance) for name in chance.sample(NAMES, 4)}}


def protected_state(app: Flask) -> dict[str, object]:
    """Return all that only people with rights may change."""
    with app.app_context(), read_only() as session:
        assert audit.verify(session).intact
        tokens = [{**row, "last_seen_at": None} for row in access.rows(session, access.TOKENS)]
        return {
            "rollouts": load_all(session),
            "flags": store.every_definition(session),
            "overrides": store.every_override(session),
            "people": [row["role"] for row in access.rows(session, access.PEOPLE)],
            "grants": [
                (row["username"], row["grants"], row["disabled_at"]) for row in access.rows(session, access.PEOPLE)
            ],
            "tokens": tokens,
        }


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings under which no route lacks anything."""
    return replace(settings, stripe_webhook_secrets=("whsec_of_the_tests",))


@pytest.fixture
def callers(
    app: Flask,
    sign_in: Callable[[str], FlaskClient],
    make_token: Callable[..., str],
    cast: Mapping[str, Person],
) -> list[Callable[[], tuple[FlaskClient, dict[str, str]]]]:
    """Those who may change nothing here: strangers, a viewer, an owner of another flag, tokens for other things."""
    installation = Installation(app)
    installation.plan()
    with app.app_context(), transaction() as session:
        grants = [Grant(Role.OWNER, "another_flag")]
        accounts.change_role(session, cast["olga"].id, role="viewer", now=datetime.now(UTC), actor="system")
        accounts.change_grants(session, cast["olga"].id, grants=grants, now=datetime.now(UTC), actor="system")
    stranger = app.test_client()
    tokens = [
        make_token("client"),
        make_token("frontend"),
        make_token("service", environment="staging"),
        make_token("admin", role="viewer"),
        make_token("admin", role="owner", flags=["another_flag"], environment="production"),
        make_token("admin", role="owner", environment="staging"),
        "*:production.v2_" + "A" * 22 + "_" + "B" * 43,
        "Bearer ",
        "Basic YWxpY2U6eA==",
    ]
    return [
        lambda: (stranger, {}),
        lambda: (sign_in("victor"), {}),
        lambda: (sign_in("olga"), {}),
        *(lambda text=text: (stranger, {"Authorization": text}) for text in tokens),
    ]


@pytest.mark.parametrize(("requests", "seed"), [(500, 1), pytest.param(10_000, 2, marks=pytest.mark.long)])
def test_nothing_breaks_and_nothing_is_passed_by(
    app: Flask, callers: list[Callable[[], tuple[FlaskClient, dict[str, str]]]], requests: int, seed: int
) -> None:
    chance, before, broken = random.Random(seed), protected_state(app), []
    rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint not in (*ENDLESS, "pages.live_rollouts")]
    for number in range(requests):
        client, headers = chance.choice(callers)()
        client.environ_base["REMOTE_ADDR"] = f"10.1.{number // 250}.{number % 250}"
        rule = chance.choice(rules)
        methods = METHODS if chance.random() < 0.2 else tuple(rule.methods or ())
        headers |= {"Accept": chance.choice(["text/html", "application/json", "*/*"])}
        path, method = an_address(chance, rule), chance.choice(methods)
        with client.open(path, method=method, headers=headers, **a_body(chance)) as answer:
            if answer.status_code >= 500:
                broken.append((method, path, answer.status_code, answer.get_data(as_text=True)[:300]))
    assert not broken, broken
    assert protected_state(app) == before
