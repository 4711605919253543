"""Every route and command that changes something leaves an entry in the audit trail, or stands here with a reason.

New ones fail the first test until they are in one of the lists.
"""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import pytest
from flask import Flask
from flask.testing import FlaskClient

from control_plane.cli import command_line
from control_plane.experiments.credits import FLAG
from control_plane.platform.auth import accounts, audit
from control_plane.platform.db.database import read_only
from flags.store import UserAttributes
from tests.control_plane.audit_table import (
    COMMANDS_ELSEWHERE,
    COMMANDS_WITHOUT,
    ROUTES_ELSEWHERE,
    ROUTES_WITHOUT,
)
from tests.control_plane.conftest import Run
from tests.installation import Installation
from tests.people import PASSWORD

pytestmark = pytest.mark.database("sqlite")

SAFE = {"GET", "HEAD", "OPTIONS"}
WHY = {"reason": "A test."}
ANN = {"userId": "ann", "reason": "A test."}
THIRD = {"version": 1, "features": [{"name": "third", "enabled": True, "strategies": [{"name": "default"}]}]}
PROS = {"version": 0, "name": "pros", "constraints": []}
NEW = "four words nobody says"
IN_A_MONTH = (datetime.now(UTC) + timedelta(days=30)).isoformat()

STEPS: list[tuple[str, str, str, Any]] = [
    ("users.enter", "POST", "/api/users", {"users": [{"userId": "ann", "plan": "free", "beta": True}]}),
    ("definitions.create", "POST", "/api/flags", {"name": "other", "environments": {"production": True}}),
    ("definitions.switch", "PUT", "/api/flags/other/environments/production", WHY | {"enabled": False}),
    ("definitions.import_view", "POST", "/api/environments/production/import", THIRD),
    ("flag_edits.change", "PATCH", "/api/flags/other", WHY | {"versions": {"production": 2}, "stale": True}),
    ("flag_edits.change_in", "PATCH", "/api/flags/other/environments/qa", WHY | {"version": 0}),
    ("flag_edits.remove_from", "DELETE", "/api/flags/other/environments/qa", WHY | {"version": 1}),
    ("segments.put_segment", "PUT", "/api/environments/production/segments/9", WHY | PROS),
    ("segments.delete_segment", "DELETE", "/api/environments/production/segments/9", WHY | {"version": 1}),
    ("definitions.delete", "DELETE", "/api/flags/other", WHY),
    ("overrides.allow", "PUT", f"/api/flags/{FLAG}/overrides/allow/ann", WHY),
    ("overrides.end_allow", "DELETE", f"/api/flags/{FLAG}/overrides/allow/ann", WHY),
    ("overrides.deny", "PUT", f"/api/flags/{FLAG}/overrides/deny/ann", WHY),
    ("overrides.end_deny", "DELETE", f"/api/flags/{FLAG}/overrides/deny/ann", WHY),
    ("alert_overrides.grant", "POST", f"/api/alerts/{FLAG}/database_query_slow/override", WHY),
    ("alert_overrides.end", "DELETE", f"/api/alerts/{FLAG}/database_query_slow/override", WHY),
    ("credits_admin.adjust_view", "POST", "/api/admin/credits/adjust", {**ANN, "analysis": -1}),
    ("credits_admin.reset_view", "POST", "/api/admin/credits/reset", ANN),
    (
        "credits_admin.top_up_view",
        "POST",
        "/api/admin/credits/top-ups",
        {**ANN, "creditType": "analysis", "amount": 5, "expiresAt": IN_A_MONTH},
    ),
    ("credits_admin.revoke_view", "POST", "/api/admin/credits/top-ups/revoke", {"packId": 1, "reason": "A test."}),
    ("credits_admin.freeze_view", "POST", "/api/admin/credits/freeze", ANN),
    ("credits_admin.unfreeze_view", "POST", "/api/admin/credits/unfreeze", ANN),
    ("pages.override_alert", "POST", f"/alerts/{FLAG}/database_query_slow/override", {"reason": "x", "minutes": "5"}),
    ("pages.end_alert_override", "POST", f"/alerts/{FLAG}/database_query_slow/override/end", WHY),
    ("rollouts.hold", "POST", f"/api/rollouts/{FLAG}/hold", WHY),
    ("rollouts.resume", "POST", f"/api/rollouts/{FLAG}/resume", WHY),
    ("rollouts.roll_back", "POST", f"/api/rollouts/{FLAG}/rollback", WHY),
    ("people.create", "POST", "/api/people", {"username": "nina"}),
    ("people.change", "PATCH", "/api/people/{nina}", {"role": "operator"}),
    ("people.sign_out", "POST", "/api/people/{nina}/sign-out", None),
    ("people.renew_password", "POST", "/api/people/{nina}/password", None),
    ("people.lock", "DELETE", "/api/people/{nina}", None),
    ("tokens.create", "POST", "/api/tokens", {"name": "x", "type": "service"}),
    ("tokens.revoke", "DELETE", "/api/tokens/1", WHY),
    ("pages.change_beta", "POST", "/users/beta", {"user": "bob", "beta": "join", "plan": "free"}),
    ("pages.override", "POST", f"/users/{FLAG}/overrides/deny", {"user": "ann", "reason": "A test."}),
    ("pages.end_override", "POST", f"/users/{FLAG}/overrides/deny/end", {"user": "ann", "reason": "A test."}),
    ("pages.correct_credits", "POST", "/credits/freeze", {"user": "ann", "reason": "A test."}),
    ("pages.act", "POST", f"/rollouts/{FLAG}/rollback", WHY),
    ("pages.add_person", "POST", "/people", {"username": "oscar", "role": "viewer"}),
    ("pages.change_role", "POST", "/people/{oscar}/role", {"role": "operator"}),
    ("pages.change_grants", "POST", "/people/{oscar}/grants", {"grants": "owner F production"}),
    ("pages.renew_password", "POST", "/people/{oscar}/password", {}),
    ("pages.end_sessions", "POST", "/people/{oscar}/sign-out", {}),
    ("pages.lock_out", "POST", "/people/{oscar}/lock", {}),
    ("pages.unlock", "POST", "/people/{oscar}/unlock", {}),
    ("pages.add_token", "POST", "/tokens", {"name": "y", "type": "service", "environment": "production"}),
    ("pages.revoke_token", "POST", "/tokens/2/revoke", {}),
    ("pages.change_own_password", "POST", "/account/password", {"present": PASSWORD, "password": NEW, "again": NEW}),
    ("pages.sign_out", "POST", "/sign-out", {}),
]
"""Requests that change something, in an order in which each of them can; forms for pages, JSON for the rest."""

CHANGES: list[tuple[str, ...]] = [
    ("plan",),
    ("hold", "--reason", "x"),
    ("resume", "--reason", "x"),
    ("directory", "import", "users.csv"),
    ("override", "allow", "ann", "--reason", "x"),
    ("override", "end", "allow", "ann", "--reason", "x"),
    ("override", "deny", "ann", "--reason", "x"),
    ("alerts", "override", "database_query_slow", "--reason", "x"),
    ("rollback", "--reason", "x"),
    ("token", "create", "x", "--type", "service"),
    ("token", "revoke", "1", "--reason", "x"),
    ("account", "add", "nina"),
    ("account", "role", "nina", "operator"),
    ("account", "grants", "nina", "owner:F:production"),
    ("account", "password", "nina"),
    ("account", "lock", "nina"),
    ("account", "unlock", "nina"),
    ("account", "sign-out", "nina"),
    ("flags", "create", "other", "--on", "production"),
    ("flags", "switch", "other", "off", "--reason", "x"),
    ("flags", "import", "flags.json"),
    ("credits", "adjust", "ann", "--analysis=-1", "--reason", "x"),
    ("credits", "reset", "ann", "--reason", "x"),
    ("credits", "freeze", "ann", "--reason", "x"),
    ("credits", "unfreeze", "ann", "--reason", "x"),
    ("credits", "top-up", "ann", "analysis", "5", "--days", "30", "--reason", "x"),
    ("credits", "revoke-pack", "1", "--reason", "x"),
    ("backup", "copy.backup"),
    ("audit", "seal", "--reason", "x"),
]
"""Commands that change something, in an order in which each of them can."""


def trail() -> int:
    with read_only() as session:
        found = audit.latest(session, limit=1)
    return found[0].id if found else 0


@pytest.fixture
def alice(app: Flask, sign_in: Callable[[str], FlaskClient]) -> FlaskClient:
    """An admin's browser on an installation with a rollout and a user."""
    installation = Installation(app)
    installation.plan()
    installation.users(UserAttributes("ann", "free"))
    return sign_in("alice")


def commands(group: click.Group, prefix: str = "") -> Iterator[str]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{prefix}{name} ")
        if not isinstance(command, click.Group) or command.invoke_without_command:
            yield prefix + name


def test_every_changing_route_is_in_one_of_the_lists(app: Flask) -> None:
    changing = {rule.endpoint for rule in app.url_map.iter_rules() if (rule.methods or set()) - SAFE}
    shown = [endpoint for endpoint, *_ in STEPS]
    assert sorted([*shown, *ROUTES_ELSEWHERE, *ROUTES_WITHOUT]) == sorted(changing)


def test_every_command_is_in_one_of_the_lists() -> None:
    known = set(commands(command_line()))
    shown = {name for name in known for words in CHANGES if " ".join(words).startswith(f"{name} ") or words == (name,)}
    assert shown | set(COMMANDS_ELSEWHERE) | COMMANDS_WITHOUT == known
    assert len(shown) == len(CHANGES)


def test_every_test_that_is_named_exists() -> None:
    root, places = Path(__file__).parents[2], {*ROUTES_ELSEWHERE.values(), *COMMANDS_ELSEWHERE.values()}
    assert [place for place in places if not (root / place).exists()] == []


def test_every_route_that_changes_something_leaves_an_entry(app: Flask, alice: FlaskClient) -> None:
    silent = []
    for endpoint, method, path, body in STEPS:
        with app.app_context(), read_only() as session:
            ids = {person.username: person.id for person in accounts.list_people(session)}
            before = trail()
        is_page = endpoint.startswith("pages.")
        content = {"data": body} if is_page else {"json": body} if body is not None else {}
        answer = alice.open(path.format(**ids), method=method, **content)
        with app.app_context():
            if answer.status_code >= 400 or trail() == before:
                silent.append((endpoint, answer.status_code, answer.get_data(as_text=True)[:200]))
    assert not silent, silent


def test_every_command_that_changes_something_leaves_an_entry(rollout: Run, tmp_path: Path) -> None:
    (tmp_path / "users.csv").write_text("user_id,plan,beta\nann,free,true\n")
    (tmp_path / "flags.json").write_text(json.dumps(THIRD))
    silent, before = [], 0
    for words in CHANGES:
        done = rollout(*words)
        number = len(json.loads(rollout("audit", "list", "--limit", "500", "--json").stdout)["entries"])
        if done.returncode or number == before:
            silent.append((words, done.returncode, done.stderr))
        before = number
    assert not silent, silent
