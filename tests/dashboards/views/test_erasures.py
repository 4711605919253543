"""Erasing a person on a page: looked up first, typed twice, kept out of every address."""

from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient

from control_plane.platform.auth import audit, erasures
from credits_engine.store import accounts
from flags.store import UserAttributes, upsert_users
from tests.credits_engine.organisation import NOW, join
from tests.dashboards.browsing import page_text, read_session, write_session

PAGE = "/erasures"
WANTED = {"user": "ada", "again": "ada", "reason": "Asked by letter.", "do": "erase"}

SignIn = Callable[[str], FlaskClient]


@pytest.fixture(autouse=True)
def ada(app: Flask) -> None:
    """A user to erase, and an account that could have members."""
    with write_session(app) as session:
        upsert_users(session, [UserAttributes(name, "free") for name in ("ada", "acme")], now=NOW)


def send(browser: FlaskClient, **form: str) -> tuple[int, str]:
    answer = browser.post(PAGE, data=WANTED | form)
    return answer.status_code, page_text(answer.text)


def is_there(app: Flask) -> bool:
    with read_session(app) as session:
        return accounts.find(session, "ada") is not None


def test_an_admin_looks_somebody_up_and_erases_them(app: Flask, sign_in: SignIn) -> None:
    alice = sign_in("alice")
    assert f'href="{PAGE}"' in alice.get("/users").text
    assert "Nobody was erased" in page_text(alice.get(PAGE).text)
    status, page = send(alice, do="check")
    assert (status, "Erase ada" in page, is_there(app)) == (200, True, True)
    status, page = send(alice, also="ada@example.com\n")
    with read_session(app) as session:
        (noted,) = erasures.every(session)
        entry = audit.latest(session, limit=1)[0]
    assert status == 200
    assert f"Erased {noted.pseudonym} stands for them in" in page
    assert "delete the customer there" in page
    assert not is_there(app)
    assert (entry.action, entry.actor, entry.reason) == ("user.erase", "alice", "Asked by letter.")
    assert f"{noted.pseudonym} alice Asked by letter." in page_text(alice.get(PAGE).text)


@pytest.mark.parametrize(
    ("form", "status", "why"),
    [
        ({"again": "adam"}, 422, "This is another id than the one above"),
        ({"reason": ""}, 422, "a reason is required"),
        ({"reason": "ada asked."}, 422, "The reason names the person"),
        ({"also": "ad"}, 422, "too short"),
        ({"user": "eve", "again": "eve"}, 404, "Nothing here is about user 'eve'"),
    ],
)
def test_a_refusal_erases_nobody_and_keeps_what_was_written(
    app: Flask, sign_in: SignIn, form: dict[str, str], status: int, why: str
) -> None:
    answer = sign_in("alice").post(PAGE, data={"form": "erase"} | WANTED | form)
    assert (answer.status_code, is_there(app)) == (status, True)
    assert why in page_text(answer.text)
    written = WANTED | form
    assert f'value="{written["user"]}"' in answer.text
    if status == 422:
        assert written["reason"] in answer.text
        assert f'name="again" value="{written["again"]}"' in answer.text


def test_what_stands_in_the_way_is_said_before_anything_is_asked(app: Flask, sign_in: SignIn) -> None:
    with app.app_context():
        join("ada")
    alice = sign_in("alice")
    status, page = send(alice, do="check")
    assert status == 200
    assert "They can't be erased now They spend from acme; remove them there first" in page
    assert "Erase for ever" not in page
    assert (send(alice)[0], is_there(app)) == (409, True)


def test_spanish_says_it_too(app: Flask, sign_in: SignIn) -> None:
    with app.app_context():
        join("ada")
    answer = sign_in("alice").post(PAGE, data=WANTED | {"do": "check"}, headers={"Accept-Language": "es"})
    assert "Consume los créditos de otra cuenta" in page_text(answer.text)


@pytest.mark.parametrize("name", ["olga", "victor"])
def test_only_admins_may(app: Flask, sign_in: SignIn, name: str) -> None:
    browser = sign_in(name)
    assert browser.get(PAGE).status_code == 403
    assert (send(browser)[0], is_there(app)) == (403, True)
    assert f'href="{PAGE}"' not in browser.get("/users").text
