"""People and tokens: admins make and end them, and a secret is shown once."""

import re
from collections.abc import Callable, Mapping
from html import unescape

import pytest
from flask import Flask
from flask.testing import FlaskClient

from control_plane.platform.auth import accounts, audit, tokens
from control_plane.platform.identity_types import Person, Role
from tests.dashboards.browsing import page_text, read_session
from tests.people import PASSWORD

pytestmark = pytest.mark.database("sqlite")

HTML = {"Accept": "text/html"}

SignIn = Callable[[str], FlaskClient]


def test_it_lists_everybody_with_role_and_marks_who_looks(sign_in: SignIn) -> None:
    page = page_text(sign_in("alice").get("/people").get_data(as_text=True))
    assert "alice you Admin" in page
    assert "olga Operator" in page
    assert "No token yet" in page


@pytest.mark.parametrize("name", ["olga", "victor"])
def test_only_admins_see_it(sign_in: SignIn, name: str) -> None:
    browser = sign_in(name)
    assert browser.get("/people", headers=HTML).status_code == 403
    assert 'href="/people"' not in browser.get("/").get_data(as_text=True)


def test_a_new_person_signs_in_with_the_password_that_was_shown_once(client: FlaskClient, sign_in: SignIn) -> None:
    browser = sign_in("alice")
    made = browser.post("/people", data={"username": "Wanda", "role": "operator"})
    assert made.headers["Cache-Control"] == "no-store"
    password = secret_in(made.get_data(as_text=True))
    assert password not in browser.get("/people").get_data(as_text=True)
    assert client.post("/sign-in", data={"username": "wanda", "password": password}).status_code == 303


def test_what_can_not_be_made_is_refused_with_its_reason(sign_in: SignIn) -> None:
    browser = sign_in("alice")
    for form in ({"username": "olga", "role": "viewer"}, {"username": "?", "role": "viewer"}, {"username": "wanda"}):
        refused = browser.post("/people", data=form)
        assert refused.status_code in (409, 422)
        assert "Nothing was changed." in page_text(refused.get_data(as_text=True))


def test_a_new_password_ends_the_sessions_under_the_old_one(sign_in: SignIn, cast: Mapping[str, Person]) -> None:
    olga = sign_in("olga")
    assert secret_in(sign_in("alice").post(f"/people/{cast['olga'].id}/password").get_data(as_text=True))
    assert olga.get("/", headers=HTML).status_code == 303


@pytest.mark.parametrize("deed", ["sign-out", "lock"])
def test_signing_out_and_locking_out_work_at_once(sign_in: SignIn, cast: Mapping[str, Person], deed: str) -> None:
    olga = sign_in("olga")
    sign_in("alice").post(f"/people/{cast['olga'].id}/{deed}")
    assert olga.get("/", headers=HTML).status_code == 303


def test_a_role_can_be_changed_but_the_last_admin_remains(
    app: Flask, sign_in: SignIn, cast: Mapping[str, Person]
) -> None:
    browser = sign_in("alice")
    browser.post(f"/people/{cast['victor'].id}/role", data={"role": "operator"})
    refused = browser.post(f"/people/{cast['alice'].id}/role", data={"role": "viewer"})
    assert "Nothing was changed." in page_text(refused.get_data(as_text=True))
    with read_session(app) as session:
        roles = {person.username: person.role for person in accounts.list_people(session)}
    assert roles == {"alice": Role.ADMIN, "olga": Role.OPERATOR, "victor": Role.OPERATOR}


def test_a_token_is_shown_once_and_can_be_revoked(app: Flask, sign_in: SignIn) -> None:
    browser = sign_in("alice")
    form = {"name": "our service", "type": "service", "environment": "production", "days": "90"}
    text = secret_in(browser.post("/tokens", data=form).get_data(as_text=True))
    page = browser.get("/people").get_data(as_text=True)
    assert text not in page
    assert "our service Service, production · made by alice" in page_text(page)
    with read_session(app) as session:
        (token,) = tokens.list_tokens(session)
    assert token.expires_at is not None
    assert (token.expires_at - token.created_at).days == 90
    browser.post(f"/tokens/{token.id}/revoke", data={"reason": "Lost."})
    assert "our service" in (page := page_text(browser.get("/people").get_data(as_text=True)))
    assert "Revoked" in page


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("client", ['url="http://localhost/api"', "startUnleash", "curl -s"]),
        ("frontend", ["http://localhost/api/frontend?userId=42"]),
        ("service", ["http://localhost/api/credits/consume"]),
        ("admin", ["http://localhost/api/rollouts"]),
    ],
)
def test_a_new_token_comes_with_code_to_begin_with(sign_in: SignIn, kind: str, expected: list[str]) -> None:
    form = {"name": "shop", "type": kind, "environment": "production"}
    page = sign_in("alice").post("/tokens", data=form).text
    secret, text = secret_in(page), unescape(page)
    assert [each for each in expected if each not in text] == []
    # Once in the field and once for the environment: code that is committed must not hold it.
    assert page.count(secret) == 2
    assert f"export FLAGS_TOKEN='{secret}'" in text or f"export FLAGS_TOKEN={secret}" in text
    assert page.count('data-copy="') == page.count("hidden>Copy") == 5


def test_a_token_of_an_unknown_kind_is_refused(sign_in: SignIn) -> None:
    browser = sign_in("alice")
    refused = browser.post("/tokens", data={"name": "x", "type": "king", "environment": "production"})
    assert "Nothing was changed." in page_text(refused.get_data(as_text=True))


@pytest.mark.parametrize(
    ("path", "form", "kept"),
    [
        ("/people", {"form": "person", "username": "?wanda", "role": "owner"}, ['value="?wanda"', '"owner" selected']),
        (
            "/tokens",
            {"form": "token", "name": "shop", "type": "client", "flags": "a b, <c>", "environment": "?", "days": "90"},
            ['value="shop"', '"client" selected', 'value="a b, &lt;c&gt;"', 'value="?"', '"90" selected'],
        ),
        ("/people/1/grants", {"form": "grants-1", "grants": "king of everything"}, ["king of everything</textarea>"]),
    ],
)
def test_a_refusal_keeps_what_was_written(sign_in: SignIn, path: str, form: dict[str, str], kept: list[str]) -> None:
    refused = sign_in("alice").post(path, data=form)
    assert refused.status_code == 422
    assert [each for each in kept if each not in refused.text] == []


def secret_in(page: str) -> str:
    """Return the secret that the page shows."""
    found = re.search(r'id="secret"[^>]* value="([^"]+)"', page)
    assert found
    return found[1]


def test_locking_out_asks_first_and_can_be_undone(
    sign_in: SignIn, client: FlaskClient, cast: Mapping[str, Person], app: Flask
) -> None:
    browser, olga = sign_in("alice"), cast["olga"].id
    assert "Lock olga out?" in page_text(browser.get(f"/people/{olga}/lock").get_data(as_text=True))
    browser.post(f"/people/{olga}/lock", data={"reason": "Lost her key."})
    assert client.post("/sign-in", data={"username": "olga", "password": PASSWORD}).status_code == 401
    assert "Let olga in again?" in page_text(browser.get(f"/people/{olga}/lock").get_data(as_text=True))
    browser.post(f"/people/{olga}/unlock", data={"reason": "Found it."})
    assert client.post("/sign-in", data={"username": "olga", "password": PASSWORD}).status_code == 303
    with read_session(app) as session:
        entries = audit.latest(session, subject="person:olga")
    assert [(entry.action, entry.reason) for entry in entries if entry.action.endswith("able")] == [
        ("person.enable", "Found it."),
        ("person.disable", "Lost her key."),
    ]


def test_whoever_is_not_locked_out_is_not_unlocked(sign_in: SignIn, cast: Mapping[str, Person]) -> None:
    browser = sign_in("alice")
    refused = browser.post(f"/people/{cast['olga'].id}/unlock")
    assert "olga is not locked out." in page_text(refused.get_data(as_text=True))
    assert browser.get("/people/999/lock").status_code == 404
