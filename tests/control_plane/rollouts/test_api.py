"""The rollout over JSON: who may do what, what a refusal says, and that bad input never is a 500."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.default_plan import default_plan
from control_plane.core.phases import Phase, Plan
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import transaction

SignIn = Callable[[str], FlaskClient]
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture(autouse=True)
def planned(app: Flask) -> None:
    """A rollout whose first soak is over, with no gate of another package in the way."""
    begun = datetime.now(UTC) - timedelta(days=8)
    with app.app_context():
        rollouts.ADVANCE_GATES.set(app, {})
        with transaction() as session:
            rollouts.plan(session, FLAG, default_plan(begun), ChangeContext(begun, "alice", "The guide."))


def post(client: FlaskClient, action: str, body: object = None, flag: str = FLAG) -> Any:
    return client.post(f"/api/rollouts/{flag}/{action}", json=body or {}, headers=SAME_ORIGIN)


def test_everybody_signed_in_may_look(sign_in: SignIn) -> None:
    shown = sign_in("victor").get(f"/api/rollouts/{FLAG}")
    assert shown.status_code == 200
    assert (shown.get_json()["phase"], shown.get_json()["gates"][0]["status"]) == ("development", "open")
    listed = sign_in("victor").get("/api/rollouts")
    assert [rollout["flag"] for rollout in listed.get_json()["rollouts"]] == [FLAG]


@pytest.mark.parametrize(
    ("name", "action", "allowed"),
    [
        ("victor", "hold", False),
        ("victor", "rollback", False),
        ("olga", "hold", True),
        ("olga", "rollback", True),
        ("olga", "advance", False),
        ("olga", "rearm", False),
        ("alice", "advance", True),
    ],
)
def test_operators_make_it_safer_and_only_owners_expose_more(
    sign_in: SignIn, name: str, action: str, allowed: bool
) -> None:
    answer = post(sign_in(name), action, {"reason": "Because.", "expectedVersion": 1})
    assert answer.status_code == (200 if allowed else 403)


def test_an_advance_that_takes_the_flag_from_users_needs_to_be_confirmed(app: Flask, sign_in: SignIn) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=8)
    phases = [
        Phase(name, name, "environments", (100,), timedelta(0), environments=(name,)) for name in ("staging", "qa")
    ]
    with app.app_context(), transaction() as session:
        plan = Plan(tuple(phases), long_ago)
        rollouts.plan(session, "SEARCH", plan, ChangeContext(long_ago, "a", "It moves."), confirm_losing=True)
    refused = post(sign_in("alice"), "advance", {"expectedVersion": 1}, flag="SEARCH")
    assert (refused.status_code, refused.get_json()["code"]) == (409, "STEP_LOSES_USERS")
    assert "The environment staging is no longer on as a whole." in refused.get_json()["reasons"][0]["sentence"]
    confirmed = post(sign_in("alice"), "advance", {"expectedVersion": 1, "confirmLosing": True}, flag="SEARCH")
    assert (confirmed.status_code, confirmed.get_json()["phase"]) == (200, "qa")


def test_without_signing_in_nothing_is_told(client: FlaskClient) -> None:
    assert client.get("/api/rollouts").status_code == 401
    assert post(client, "rollback", {"reason": "Because."}).status_code == 401


def test_a_refusal_lists_its_reasons(sign_in: SignIn) -> None:
    refused = post(sign_in("alice"), "advance", {"expectedVersion": 7})
    assert (refused.status_code, refused.get_json()["code"]) == (409, "VERSION_CONFLICT")
    assert (
        refused.get_json()["reasons"][0]["sentence"]
        == "The rollout has changed since you saw it: version 7 then, 1 now. Look again."
    )
    no_reason = post(sign_in("olga"), "hold")
    assert (no_reason.status_code, no_reason.get_json()["code"]) == (422, "REASON_REQUIRED")


def test_a_rollback_waits_for_no_shorter_reason(sign_in: SignIn) -> None:
    answer = post(sign_in("olga"), "rollback", {"reason": "W" * 5_000})
    assert (answer.status_code, answer.get_json()["state"]) == (200, "rolled_back")
    assert len(answer.get_json()["state_reason"]) == 2_000


def test_a_rollback_may_be_repeated(sign_in: SignIn) -> None:
    olga = sign_in("olga")
    answers = [post(olga, "rollback", {"reason": "Double charges."}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json["version"] == answers[1].json["version"] == 2
    history = olga.get(f"/api/rollouts/{FLAG}/audit").get_json()["entries"]
    assert [entry["action"] for entry in history][:2] == ["rollout.roll_back"] * 2
    assert history[0]["actor"].endswith("olga")


def test_a_rollback_leaves_development_and_staging_the_flag_unless_it_is_asked_not_to(sign_in: SignIn) -> None:
    olga = sign_in("olga")
    first, again, wide, narrow = (
        post(olga, "rollback", {"reason": "Double charges.", **body})
        for body in ({}, {}, {"everywhere": True}, {"everywhere": False})
    )
    found = [(answer.get_json()["latch"], answer.get_json()["version"]) for answer in (first, again, wide, narrow)]
    assert found == [("production", 2), ("production", 2), ("everywhere", 3), ("everywhere", 3)]
    assert post(olga, "rollback", {"reason": "Why.", "everywhere": "perhaps"}).status_code == 422


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ('{"reason": "Double charges.", "everywhere": "yes", "expectedVersion": "1", "why": 1}', "application/json"),
        ('{"reason": "Double charges.", "everywhere": true}', "application/x-www-form-urlencoded"),
        ("reason=Double+charges.&everywhere=true", "application/x-www-form-urlencoded"),
        ('{"reason": "Double charges.", "everywhere": true}', "text/plain"),
        ('{"reason": "Double charges.", "everywhere": true}', ""),
    ],
)
def test_a_rollback_is_taken_in_every_form_that_somebody_in_a_hurry_sends(
    sign_in: SignIn, body: str, content_type: str
) -> None:
    answer = sign_in("olga").post(f"/api/rollouts/{FLAG}/rollback", data=body, content_type=content_type)
    found = answer.get_json()
    assert (found["state"], found["latch"], found["state_reason"]) == ("rolled_back", "everywhere", "Double charges.")


def test_a_rollback_whose_body_cannot_be_read_says_what_is_wrong(sign_in: SignIn) -> None:
    url = f"/api/rollouts/{FLAG}/rollback"
    broken = sign_in("olga").post(url, data='{"reason": ', content_type="application/json")
    assert (broken.status_code, broken.get_json()["code"]) == (400, "MALFORMED_JSON")
    empty = sign_in("olga").post(url)
    assert (empty.status_code, empty.get_json()["code"]) == (422, "REASON_REQUIRED")


def test_an_unknown_flag_is_a_404_that_names_it(sign_in: SignIn) -> None:
    answer = post(sign_in("alice"), "hold", {"reason": "x"}, flag="ENABLE_CREDTIS_V2")
    assert (answer.status_code, answer.get_json()["code"]) == (404, "ROLLOUT_NOT_FOUND")
    assert "ENABLE_CREDTIS_V2" in answer.get_json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b'{"reason": 5}',
        b'{"expectedVersion": "1"}',
        b'{"expectedVersion": -1}',
        b'{"reason": "x", "surprise": 1}',
        b'{"reason": "' + b"x" * 3000 + b'"}',
        b"\xff\xfe",
    ],
)
def test_a_bad_body_is_a_problem_with_a_code(sign_in: SignIn, body: bytes) -> None:
    answer = sign_in("alice").post(
        f"/api/rollouts/{FLAG}/hold", data=body, content_type="application/json", headers=SAME_ORIGIN
    )
    assert answer.status_code in (400, 422)
    assert answer.mimetype == "application/problem+json"
    assert answer.get_json()["code"]
    assert "Traceback" not in answer.text
