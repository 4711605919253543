"""A person changes their own password: the present one is asked for, and only this browser stays signed in."""

from collections.abc import Callable, Mapping

import pytest
from flask.testing import FlaskClient

from control_plane.platform.identity_types import Person
from tests.dashboards.browsing import page_text
from tests.people import PASSWORD

pytestmark = pytest.mark.database("sqlite")

SignIn = Callable[[str], FlaskClient]

NEW = "four words nobody says"
HTML = {"Accept": "text/html"}


def change(browser: FlaskClient, present: str = PASSWORD, password: str = NEW, again: str = "") -> str:
    browser.post("/account/password", data={"present": present, "password": password, "again": again or password})
    return page_text(browser.get("/account").get_data(as_text=True))


def test_the_new_password_opens_and_the_old_one_does_not(sign_in: SignIn, client: FlaskClient) -> None:
    here, elsewhere = sign_in("olga"), sign_in("olga")
    assert "Your password was changed." in change(here)
    assert here.get("/", headers=HTML).status_code == 200
    assert elsewhere.get("/", headers=HTML).status_code == 303
    assert client.post("/sign-in", data={"username": "olga", "password": PASSWORD}).status_code == 401
    assert client.post("/sign-in", data={"username": "olga", "password": NEW}).status_code == 303


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"present": "a guess"}, "The present password is wrong"),
        ({"again": "another thing"}, "typed in two ways"),
        ({"password": "short"}, "has 5 characters"),
        ({"password": PASSWORD}, "is the present one"),
        ({"password": "olga olga olga"}, "little more than the username"),
    ],
)
def test_what_can_not_be_is_refused_and_nothing_changes(
    sign_in: SignIn, client: FlaskClient, form: dict[str, str], sentence: str
) -> None:
    assert sentence in change(sign_in("olga"), **form)
    assert client.post("/sign-in", data={"username": "olga", "password": PASSWORD}).status_code == 303


def test_guesses_at_the_present_password_are_limited(sign_in: SignIn) -> None:
    browser = sign_in("olga")
    pages = [change(browser, present=f"guess {number}") for number in range(12)]
    assert "Too many failures" in pages[-1]


def test_an_admin_token_has_no_password(client: FlaskClient, make_token: Callable[..., str]) -> None:
    answer = client.post("/account/password", data={}, headers={"Authorization": make_token("admin")})
    assert answer.status_code == 303


def test_the_page_needs_somebody_signed_in(client: FlaskClient, cast: Mapping[str, Person]) -> None:
    assert client.get("/account", headers=HTML).status_code == 303
