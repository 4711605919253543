"""Tokens over HTTP: shown once, listed without their secret, ended at once."""

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

Call = Callable[..., TestResponse]
SignIn = Callable[[str], FlaskClient]

SECRET_CHARACTERS = 43


def test_a_token_is_shown_once_and_opens_what_it_is_for(call: Call, sign_in: SignIn) -> None:
    alice = sign_in("alice")
    made = alice.post("/api/tokens", json={"name": "the shop", "type": "client", "environment": "staging"})
    assert made.status_code == 201
    text = made.get_json()["token"]
    assert text.startswith("*:staging.v2_")
    assert call("GET", "/api/client/features", headers={"Authorization": text}).status_code == 200
    listed = alice.get("/api/tokens")
    assert text not in listed.text
    assert text[-SECRET_CHARACTERS:] not in listed.text
    [token] = [each for each in listed.get_json()["tokens"] if each["id"] == made.get_json()["id"]]
    assert (token["name"], token["environment"], token["createdBy"]) == ("the shop", "staging", "alice")


def test_a_token_is_held_to_the_projects_that_were_named(call: Call, sign_in: SignIn) -> None:
    alice = sign_in("alice")
    made = alice.post("/api/tokens", json={"name": "the shop", "type": "client", "projects": ["shop"]}).get_json()
    assert made["projects"] == ["shop"]
    answer = call("GET", "/api/client/features", headers={"Authorization": made["token"]})
    assert answer.get_json()["features"] == []


def test_a_token_of_a_lesser_role_may_look_into_every_environment(call: Call, sign_in: SignIn) -> None:
    body = {"name": "a report", "type": "admin", "role": "viewer", "environment": "*"}
    made = sign_in("alice").post("/api/tokens", json=body)
    assert (made.status_code, made.get_json()["environment"]) == (201, "*")
    for place in ("production", "staging"):
        headers = {"Authorization": made.get_json()["token"]}
        assert call("GET", f"/api/environments/{place}/export", headers=headers).status_code == 200


def test_an_ended_token_opens_nothing(call: Call, sign_in: SignIn) -> None:
    alice = sign_in("alice")
    made = alice.post("/api/tokens", json={"name": "the shop", "type": "client"}).get_json()
    assert call("GET", "/api/client/features", headers={"Authorization": made["token"]}).status_code == 200
    for _ in range(2):
        ended = alice.delete(f"/api/tokens/{made['id']}", json={"reason": "It was in a screenshot."})
        assert ended.status_code == 204
    assert call("GET", "/api/client/features", headers={"Authorization": made["token"]}).status_code == 401
    assert alice.delete(f"/api/tokens/{2**70}", json={"reason": "-"}).status_code == 404


@pytest.mark.parametrize(
    ("body", "trusted"),
    [
        ({"type": "client"}, ["*"]),
        ({"type": "frontend"}, []),
        ({"type": "frontend", "trustedAttributes": ["plan"]}, ["plan"]),
    ],
)
def test_a_browsers_word_counts_for_nothing_unless_it_is_said(
    sign_in: SignIn, body: dict[str, Any], trusted: list[str]
) -> None:
    made = sign_in("alice").post("/api/tokens", json={"name": "x", **body})
    assert made.get_json()["trustedAttributes"] == trusted


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"name": "x", "type": "wizard"}, "UNKNOWN_TOKEN_TYPE"),
        ({"name": "x", "type": "client", "environment": "a b"}, "INVALID_BODY"),
        ({"name": "x", "type": "client", "environment": "*"}, "INVALID_ENVIRONMENT"),
        ({"name": "x", "type": "client", "expiresAt": "2020-01-01T00:00:00Z"}, "INVALID_EXPIRY"),
        ({"name": "x", "type": "client", "expiresAt": "9999-12-31T23:59:59-01:00"}, "INVALID_BODY"),
        ({"name": "x", "type": "client", "expiresAt": "0001-01-01T00:00:00+01:00"}, "INVALID_BODY"),
        ({"type": "client"}, "INVALID_BODY"),
    ],
)
def test_a_token_that_cant_be_meant_is_refused(sign_in: SignIn, body: dict[str, Any], code: str) -> None:
    answer = sign_in("alice").post("/api/tokens", json=body)
    assert (answer.status_code, answer.get_json()["code"]) == (422, code)


def test_tokens_are_the_owners_affair(call: Call, sign_in: SignIn) -> None:
    assert sign_in("olga").get("/api/tokens").status_code == 403
    assert call("GET", "/api/tokens").status_code == 401
