"""Archived flags: off everywhere, out of every SDK, their name not free until they are deleted."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from control_plane import rollouts
from control_plane.audiences.base import AudienceKind
from control_plane.change_context import ChangeContext
from control_plane.core.phases import Phase, Plan
from control_plane.core.transitions import Transition
from control_plane.platform.auth import accounts
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.identity_types import Grant, Person, Role
from flags import snapshot, store
from flags.administration.overrides import put_override
from flags.client_features.refresher import REFRESHER
from flags.evaluation.evaluator import evaluate
from flags.evaluation.rollout_flag import EvaluationContext

SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}
FLAG = "SEARCH"


@pytest.fixture
def alice(app: Flask, sign_in: Callable[[str], FlaskClient]) -> FlaskClient:
    """An owner, and a flag that is complete in staging."""
    now = datetime.now(UTC)
    with app.app_context():
        rollouts.ADVANCE_GATES.set(app, {})
        rollouts.REARM_GATES.set(app, {})
        phase = Phase("staging", "Staging", AudienceKind.ENVIRONMENTS, (100,), timedelta(0), environments=("staging",))
        with transaction() as session:
            rollouts.plan(session, FLAG, Plan((phase,), now), ChangeContext(now, "alice", "Planned."))
            rollouts.advance(session, FLAG, ChangeContext(now, "alice"), expected_version=1)
    return sign_in("alice")


def call(client: FlaskClient, method: str, path: str, **body: object) -> Any:
    return client.open(f"/api/rollouts/{FLAG}{path}", method=method, json=body, headers=SAME_ORIGIN)


def names(app: Flask, make_token: Callable[..., str]) -> set[str]:
    """Return the names of the flags that an SDK of staging gets."""
    with app.app_context():
        REFRESHER.get().refresh()
    headers = {"Authorization": make_token("client", environment="staging")}
    told = app.test_client().get("/api/client/features", headers=headers)
    return {feature["name"] for feature in told.get_json()["features"]}


def value(app: Flask) -> bool:
    with app.app_context(), read_only() as session:
        flags = snapshot.SNAPSHOTS.get().current(session, "staging")
        return evaluate(flags.find(FLAG), EvaluationContext("u1"), datetime.now(UTC)).value


def test_it_is_off_everywhere_and_comes_back_off(
    app: Flask, alice: FlaskClient, make_token: Callable[..., str]
) -> None:
    assert value(app)
    assert FLAG in names(app, make_token)
    unconfirmed = call(alice, "POST", "/archive", reason="Done.", expectedVersion=2)
    assert (unconfirmed.status_code, unconfirmed.get_json()["code"]) == (409, "STEP_LOSES_USERS")
    archived = call(alice, "POST", "/archive", reason="Done.", expectedVersion=2, confirmLosing=True)
    assert archived.status_code == 200
    assert not value(app)
    assert FLAG not in names(app, make_token)
    assert alice.get("/api/rollouts").get_json()["rollouts"] == []
    (listed,) = alice.get("/api/rollouts?state=archived").get_json()["rollouts"]
    assert (listed["flag"], listed["archived_at"] is not None) == (FLAG, True)
    for path in ("/rearm", "/resume", "/advance", "/step-back"):
        assert call(alice, "POST", path, reason="x", expectedVersion=3).status_code == 409
    revived = call(alice, "POST", "/revive", reason="After all.", expectedVersion=3)
    assert (revived.status_code, revived.get_json()["state"]) == (200, "rolled_back")
    assert not value(app)
    assert FLAG in names(app, make_token)
    assert len(alice.get("/api/rollouts").get_json()["rollouts"]) == 1


def test_one_that_runs_is_not_archived(app: Flask, alice: FlaskClient) -> None:
    assert call(alice, "POST", "/step-back", reason="x", expectedVersion=2).status_code == 409
    with app.app_context(), transaction() as session:
        now = datetime.now(UTC)
        phase = Phase("everyone", "Everyone", AudienceKind.EVERYONE, (100,), timedelta(0))
        rollouts.plan(session, "RUNS", Plan((phase,), now), ChangeContext(now, "alice", "Planned."))
    refused = alice.post("/api/rollouts/RUNS/archive", json={"reason": "x", "expectedVersion": 1}, headers=SAME_ORIGIN)
    assert (refused.status_code, refused.get_json()["code"]) == (409, "NOT_ENDED")


def test_its_name_is_free_only_once_it_is_deleted(app: Flask, alice: FlaskClient) -> None:
    body = {"flag": FLAG, "template": "kill-switch"}
    assert call(alice, "DELETE", "", reason="x", expectedVersion=2).get_json()["code"] == "NOT_ARCHIVED"
    call(alice, "POST", "/archive", reason="Done.", expectedVersion=2, confirmLosing=True)
    again = alice.post("/api/rollouts", json=body, headers=SAME_ORIGIN)
    assert (again.status_code, again.get_json()["code"]) == (409, "ROLLOUT_ARCHIVED")
    plain = alice.post("/api/flags", json={"name": FLAG, "environments": {"staging": True}}, headers=SAME_ORIGIN)
    assert plain.status_code == 409
    assert call(alice, "DELETE", "", reason="Unused.", expectedVersion=3).status_code == 200
    assert alice.get(f"/api/rollouts/{FLAG}").status_code == 404
    assert alice.post("/api/rollouts", json=body, headers=SAME_ORIGIN).status_code == 201
    versions = alice.get(f"/api/rollouts/{FLAG}/plan/versions").get_json()["versions"]
    assert [each["number"] for each in versions] == [1]


def test_another_flag_of_its_name_begins_without_what_was_said_of_it(app: Flask, alice: FlaskClient) -> None:
    with app.app_context(), transaction() as session:
        change = ChangeContext(datetime.now(UTC), "alice", "A friend.")
        put_override(session, FLAG, "u1", store.Effect.ALLOW, change)
    call(alice, "POST", "/archive", reason="Done.", expectedVersion=2, confirmLosing=True)
    call(alice, "DELETE", "", reason="Unused.", expectedVersion=3)
    body = {"flag": FLAG, "template": "kill-switch"}
    made = alice.post("/api/rollouts", json=body, headers=SAME_ORIGIN).get_json()
    assert (made["version"], made["attempt"]) == (5, 2)
    with app.app_context(), read_only() as session:
        assert store.list_overrides(session, FLAG) == []


@pytest.mark.parametrize(("path", "method"), [("/archive", "POST"), ("/revive", "POST"), ("", "DELETE")])
def test_only_owners_may(alice: FlaskClient, sign_in: Callable[[str], FlaskClient], path: str, method: str) -> None:
    assert alice is not None
    assert call(sign_in("olga"), method, path, reason="x", expectedVersion=2).status_code == 403


@pytest.mark.parametrize("way", ["api", "page"])
def test_whoever_ends_it_owns_each_environment_that_ends_with_it(
    app: Flask, alice: FlaskClient, sign_in: Callable[[str], FlaskClient], cast: Mapping[str, Person], way: str
) -> None:
    now = datetime.now(UTC)
    everyone = Plan((Phase("qa", "QA", AudienceKind.EVERYONE, (100,), timedelta(0)),), now, environment="qa")
    with app.app_context(), transaction() as session:
        change = ChangeContext(now, "alice", "QA first.")
        assert isinstance(rollouts.plan(session, f"{FLAG}@qa", everyone, change, confirm_losing=True), Transition)
        grants = [Grant(Role.OWNER, environment="production")]
        accounts.change_grants(session, cast["victor"].id, grants=grants, now=now, actor="tests")
        version = rollouts.find(session, FLAG).version

    def end(client: FlaskClient) -> int:
        if way == "api":
            body = {"reason": "Over.", "expectedVersion": version, "confirmLosing": True}
            return int(call(client, "POST", "/archive", **body).status_code)
        form = {"reason": "Over.", "version": version, "confirm_losing": "on"}
        return client.post(f"/rollouts/{FLAG}/archive", data=form, headers=SAME_ORIGIN).status_code

    assert end(sign_in("victor")) == 403
    with app.app_context(), read_only() as session:
        assert not rollouts.find(session, f"{FLAG}@qa").archived
    assert end(alice) == (200 if way == "api" else 303)
