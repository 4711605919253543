"""People see where they are signed in, and sign out there."""

import re
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient

from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only
from dashboards.browser_names import browser_name
from tests.dashboards.browsing import page_text
from tests.people import PASSWORD

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
EDGE = "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36 Edg/140.0"
HTML = {"Accept": "text/html"}
SignInFrom = Callable[..., FlaskClient]


@pytest.fixture
def sign_in_from(app: Flask, cast: object) -> SignInFrom:
    """Sign in through the form, with this browser."""

    def sign_in_from(user_agent: str, name: str = "olga") -> FlaskClient:
        browser = app.test_client()
        form = {"username": name, "password": PASSWORD}
        assert browser.post("/sign-in", data=form, headers={"User-Agent": user_agent}).status_code == 303
        return browser

    return sign_in_from


def is_signed_in(browser: FlaskClient) -> bool:
    return browser.get("/account", headers=HTML).status_code == 200


def page(browser: FlaskClient) -> str:
    return browser.get("/account", headers=HTML).get_data(as_text=True)


def keys(browser: FlaskClient) -> list[str]:
    """Return the keys by which the forms of the page name the other sessions."""
    return re.findall(r'name="session" value="(\w+)"', page(browser))


def test_each_browser_is_listed_and_this_one_is_marked(sign_in_from: SignInFrom) -> None:
    here, _, _ = sign_in_from(FIREFOX), sign_in_from(EDGE), sign_in_from(EDGE, "victor")
    text = page_text(page(here))
    assert "Firefox, Linux, 127.0.0.1" in text
    assert "Edge, Windows, 127.0.0.1" in text
    assert text.count("(this browser)") == 1
    assert len(keys(here)) == 1, "of this browser and of others nothing is offered"


def test_one_browser_is_signed_out_and_the_trail_says_which(app: Flask, sign_in_from: SignInFrom) -> None:
    here, lost, third = (sign_in_from(each) for each in (FIREFOX, EDGE, FIREFOX))
    newest, _ = keys(here)
    here.post("/account/sessions/end", data={"session": newest})
    assert (is_signed_in(here), is_signed_in(lost), is_signed_in(third)) == (True, True, False)
    with app.app_context(), read_only() as session:
        entry = audit.latest(session, limit=1)[0]
    assert (entry.action, entry.subject) == ("person.end_sessions", "person:olga")
    assert entry.before == {"sessions": [f"127.0.0.1, {FIREFOX}"]}


def test_everywhere_else_is_signed_out_and_nobody_else(sign_in_from: SignInFrom) -> None:
    here, elsewhere, victor = sign_in_from(FIREFOX), sign_in_from(EDGE), sign_in_from(EDGE, "victor")
    here.post("/account/sessions/end-others")
    assert (is_signed_in(here), is_signed_in(elsewhere), is_signed_in(victor)) == (True, False, True)
    assert keys(here) == []


def test_nobody_ends_a_session_of_somebody_else(sign_in_from: SignInFrom) -> None:
    olga, elsewhere, victor = sign_in_from(FIREFOX), sign_in_from(EDGE), sign_in_from(EDGE, "victor")
    victor.post("/account/sessions/end", data={"session": keys(olga)[0]})
    assert is_signed_in(elsewhere)


def test_what_a_new_password_ended_is_listed_no_more_and_this_browser_still_is(sign_in_from: SignInFrom) -> None:
    here, elsewhere = sign_in_from(FIREFOX), sign_in_from(EDGE)
    new = "four words nobody says"
    here.post("/account/password", data={"present": PASSWORD, "password": new, "again": new})
    assert not is_signed_in(elsewhere)
    text = page_text(page(here))
    assert "Edge, Windows" not in text
    assert "Firefox, Linux" in text


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        (FIREFOX, "Firefox, Linux"),
        (EDGE, "Edge, Windows"),
        ("curl/8.5.0", "curl/8.5.0"),
        ("", ""),
        ("x" * 99, "x" * 60),
    ],
)
def test_a_browser_is_called_as_people_know_it(user_agent: str, name: str) -> None:
    assert browser_name(user_agent) == name
