"""People over JSON: provisioned, changed, locked out and let in by admins and their tokens alone."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from control_plane.platform.auth import audit, tokens
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.identity_types import Person

pytestmark = pytest.mark.database("sqlite")

SignIn = Callable[[str], FlaskClient]


@pytest.fixture
def admin(client: FlaskClient, make_token: Callable[..., str]) -> FlaskClient:
    """A program with an admin token."""
    client.environ_base["HTTP_AUTHORIZATION"] = make_token("admin")
    return client


def add(admin: FlaskClient, **fields: Any) -> dict[str, Any]:
    answer = admin.post("/api/people", json={"username": "nina", **fields})
    assert answer.status_code == 201, answer.text
    document: dict[str, Any] = answer.get_json()
    return document


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.get_json()["code"]


def test_somebody_added_signs_in_with_the_password_of_the_answer(app: Flask, admin: FlaskClient) -> None:
    made = add(admin, role="operator", grants=[{"role": "owner", "flag": "F", "environment": "staging"}])
    assert made["grants"] == [{"role": "owner", "flag": "F", "environment": "staging"}]
    form = {"username": "nina", "password": made["password"]}
    assert app.test_client().post("/sign-in", data=form).status_code == 303
    listed = admin.get("/api/people").get_json()["people"]
    assert [(each["username"], each["role"], each["active"]) for each in listed] == [("nina", "operator", True)]
    assert made["password"] not in admin.get(f"/api/people/{made['id']}").text


def test_without_a_password_nobody_signs_in_as_them(app: Flask, admin: FlaskClient) -> None:
    made = add(admin, password=False)
    assert made["password"] is None
    for guess in ("", "None", "nina"):
        assert app.test_client().post("/sign-in", data={"username": "nina", "password": guess}).status_code == 401


def test_they_are_locked_out_and_let_in_again(app: Flask, admin: FlaskClient) -> None:
    made = add(admin)
    place, form = f"/api/people/{made['id']}", {"username": "nina", "password": made["password"]}
    assert admin.delete(place, json={"reason": "Has left."}).status_code == 204
    assert admin.delete(place).status_code == 204, "repeating it changes nothing"
    assert app.test_client().post("/sign-in", data=form).status_code == 401
    assert admin.patch(place, json={"active": True, "reason": "Is back."}).get_json()["active"] is True
    assert app.test_client().post("/sign-in", data=form).status_code == 303
    with app.app_context(), read_only() as session:
        entries = audit.latest(session, subject="person:nina")
    assert [(each.action, each.reason) for each in entries][1:] == [
        ("person.enable", "Is back."),
        ("person.disable", "Has left."),
        ("person.create", ""),
    ]


def test_whoever_is_locked_out_acts_by_no_token_either(app: Flask, admin: FlaskClient, now: datetime) -> None:
    made = add(admin)
    with app.app_context(), transaction() as session:
        texts = {
            kind: tokens.create_token(
                session, tokens.NewToken(kind, kind, environment="production"), now=now, actor="nina"
            )
            for kind in ("admin", "client")
        }
    by_token = {"Authorization": texts["admin"]}
    assert app.test_client().get("/api/people", headers=by_token).status_code == 200
    assert admin.get(f"/api/people/{made['id']}").get_json()["tokens"] == ["admin", "client"]
    locked = admin.patch(f"/api/people/{made['id']}", json={"active": False, "reason": "Has left."})
    assert locked.get_json()["tokens"] == ["client"]
    assert app.test_client().get("/api/people", headers=by_token).status_code == 401
    by_client = {"Authorization": texts["client"]}
    assert app.test_client().get("/api/client/features", headers=by_client).status_code == 200


def test_a_new_password_and_a_sign_out_end_what_was_before(app: Flask, admin: FlaskClient) -> None:
    made = add(admin)
    browser = app.test_client()
    browser.post("/sign-in", data={"username": "nina", "password": made["password"]})
    assert browser.get("/api/rollouts").status_code == 200
    assert admin.post(f"/api/people/{made['id']}/sign-out").status_code == 204
    assert browser.get("/api/rollouts").status_code == 401
    renewed = admin.post(f"/api/people/{made['id']}/password").get_json()["password"]
    for password, status in ((made["password"], 401), (renewed, 303)):
        assert app.test_client().post("/sign-in", data={"username": "nina", "password": password}).status_code == status


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"username": "?"}, (422, "INVALID_USERNAME")),
        ({"role": "king"}, (422, "UNKNOWN_ROLE")),
        ({"grants": [{"role": "admin", "flag": "F"}]}, (422, "INVALID_GRANTS")),
        ({"grants": [{"role": "owner"}]}, (422, "INVALID_GRANTS")),
        ({"grants": [{"role": "owner", "flag": "a b"}]}, (422, "INVALID_GRANTS")),
        ({"grants": [{"role": "owner", "flag": "F"}, {"role": "viewer", "flag": "F"}]}, (422, "INVALID_GRANTS")),
        ({"password": "mine"}, (400, "INVALID_FIELDS")),
        ({"nonsense": 1}, (400, "INVALID_FIELDS")),
    ],
)
def test_what_can_not_be_is_refused_whole(
    admin: FlaskClient, fields: dict[str, Any], expected: tuple[int, str]
) -> None:
    answer = admin.post("/api/people", json={"username": "nina", **fields})
    assert (answer.status_code, answer.get_json()["code"])[0] in (expected[0], 422)
    assert admin.get("/api/people").get_json()["people"] == []


def test_the_last_admin_stays_one(admin: FlaskClient, cast: Mapping[str, Person]) -> None:
    alice = f"/api/people/{cast['alice'].id}"
    assert code(admin.patch(alice, json={"role": "owner"})) == (409, "LAST_ADMIN")
    assert code(admin.patch(alice, json={"active": False})) == (409, "LAST_ADMIN")
    assert code(admin.delete(alice)) == (409, "LAST_ADMIN")


@pytest.mark.parametrize("name", ["olga", "victor"])
def test_nobody_else_may(sign_in: SignIn, cast: Mapping[str, Person], name: str) -> None:
    browser, me = sign_in(name), f"/api/people/{cast[name].id}"
    assert code(browser.get("/api/people")) == (403, "ROLE_REQUIRED")
    assert code(browser.patch(me, json={"role": "admin"})) == (403, "ROLE_REQUIRED")


@pytest.mark.parametrize("limits", [{"role": "owner"}, {"role": "owner", "environment": "production"}])
def test_a_token_with_less_than_everything_gives_nobody_anything(
    client: FlaskClient, make_token: Callable[..., str], limits: dict[str, str]
) -> None:
    headers = {"Authorization": make_token("admin", **limits)}
    answer = client.post("/api/people", json={"username": "nina", "role": "admin"}, headers=headers)
    assert code(answer) == (403, "ROLE_REQUIRED")
    answer = client.post("/api/tokens", json={"name": "x", "type": "admin"}, headers=headers)
    assert code(answer) == (403, "ROLE_REQUIRED")
