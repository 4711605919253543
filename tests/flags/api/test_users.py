"""The directory over HTTP: services enter what they know, bit by bit."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only
from control_plane.platform.identity_types import Role
from control_plane.platform.runtime import change_feed

Call = Callable[..., TestResponse]
ANN = {"userId": "ann", "plan": "pro", "signedUpAt": "2026-08-01T10:00:00+02:00", "beta": True}


def enter(call: Call, *users: dict[str, Any]) -> TestResponse:
    return call("POST", "/api/users", kind="service", json={"users": users})


def test_a_service_enters_users_and_reads_them_back(call: Call) -> None:
    assert enter(call, ANN, {"userId": "b/o@b", "plan": "free"}).json == {"users": 2}
    assert call("GET", "/api/users/ann", kind="service").json == {
        **ANN,
        "signedUpAt": "2026-08-01T08:00:00+00:00",
        "billingAnchor": None,
    }
    assert call("GET", "/api/users/b/o@b", kind="admin").get_json()["beta"] is False


def test_what_is_left_out_stays_and_what_is_null_goes(call: Call) -> None:
    enter(call, ANN)
    enter(call, {"userId": "ann", "plan": "free"})
    assert call("GET", "/api/users/ann", kind="service").get_json()["beta"] is True
    enter(call, {"userId": "ann", "signedUpAt": None})
    after = call("GET", "/api/users/ann", kind="service").get_json()
    assert (after["plan"], after["signedUpAt"]) == ("free", None)


def test_joining_the_beta_is_audited_and_announced_and_nothing_else_is(call: Call, app: Flask) -> None:
    def revision() -> int:
        with app.app_context(), read_only() as session:
            return change_feed.revision(session)

    before = revision()
    enter(call, ANN, {"userId": "bob", "plan": "free"})
    joined = revision()
    assert joined > before
    enter(call, ANN, {"userId": "ann", "plan": "free"}, {"userId": "bob", "plan": "pro"})
    assert revision() == joined
    with app.app_context(), read_only() as session:
        [entry] = audit.latest(session, subject="directory")
    assert (entry.action, entry.after) == ("directory.beta", {"joined": ["ann"], "left": []})


@pytest.mark.parametrize(
    ("user", "code"),
    [
        ({"userId": "new"}, "PLAN_REQUIRED"),
        ({"userId": "new\\", "plan": "free"}, "INVALID_USER_ID"),
        ({"userId": "", "plan": "free"}, "INVALID_BODY"),
        ({"userId": "new", "plan": "free", "signedUpAt": "yesterday"}, "INVALID_BODY"),
        ({"userId": "new", "plan": "free", "signedUpAt": "2026-01-01T00:00:00"}, "INVALID_BODY"),
        ({"userId": "new", "plan": "free", "plane": "free"}, "INVALID_BODY"),
    ],
)
def test_one_user_that_cant_be_entered_keeps_all_out(call: Call, user: dict[str, Any], code: str) -> None:
    answer = enter(call, ANN, user)
    assert (answer.status_code, answer.get_json()["code"]) == (422, code)
    assert call("GET", "/api/users/ann", kind="service").status_code == 404


def test_only_services_and_operators_may_enter_users(call: Call) -> None:
    assert call("POST", "/api/users", json={"users": [ANN]}).status_code == 401
    assert call("POST", "/api/users", kind="client", json={"users": [ANN]}).status_code == 403


def test_who_puts_somebody_on_the_beta_allowlist_is_a_service_or_an_owner(
    sign_in: Callable[[str], FlaskClient], make_token: Callable[..., str], app: Flask
) -> None:
    """It exposes them; what else is entered of a user exposes nobody."""
    bob = {"userId": "bob", "plan": "free"}
    for name, joins in (("olga", 403), ("alice", 200)):
        assert sign_in(name).post("/api/users", json={"users": [bob, {**bob, "beta": True}]}).status_code == joins
        assert sign_in(name).post("/api/users", json={"users": [{**bob, "beta": False}]}).status_code == 200
    for role, enters, joins in ((Role.VIEWER, 403, 403), (Role.OPERATOR, 200, 403), (Role.OWNER, 200, 200)):
        client, headers = app.test_client(), {"Authorization": make_token("admin", role=role)}
        assert client.post("/api/users", json={"users": [bob]}, headers=headers).status_code == enters
        assert client.post("/api/users", json={"users": [{**bob, "beta": True}]}, headers=headers).status_code == joins
