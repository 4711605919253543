"""Signing in and out, and choosing colours, by forms alone."""

from collections.abc import Callable, Mapping

import pytest
from flask.testing import FlaskClient

from control_plane.platform.identity_types import Person
from tests.dashboards.browsing import page_text
from tests.people import PASSWORD

pytestmark = pytest.mark.database("sqlite")

SignIn = Callable[[str], FlaskClient]


def test_a_stranger_is_sent_to_sign_in_and_comes_back_to_where_they_wanted(
    client: FlaskClient, cast: Mapping[str, Person]
) -> None:
    sent = client.get("/audit?actor=guard", headers={"Accept": "text/html"})
    assert sent.status_code == 303
    form = client.get(sent.location).get_data(as_text=True)
    assert 'value="/audit?actor=guard"' in form
    done = client.post("/sign-in", data={"username": "alice", "password": PASSWORD, "next": "/audit?actor=guard"})
    assert (done.status_code, done.location) == (303, "/audit?actor=guard")
    assert client.get("/audit").status_code == 200


def test_a_wrong_password_keeps_the_username_and_says_what_to_do(
    client: FlaskClient, cast: Mapping[str, Person]
) -> None:
    answer = client.post("/sign-in", data={"username": "alice", "password": "wrong"})
    page = answer.get_data(as_text=True)
    assert answer.status_code == 401
    assert 'value="alice"' in page
    assert "wrong; try again" in page_text(page)
    assert PASSWORD not in page


def test_signing_in_never_leads_to_another_site(client: FlaskClient, cast: Mapping[str, Person]) -> None:
    for target in ("https://elsewhere.example", "//elsewhere.example", "/\\elsewhere.example"):
        done = client.post("/sign-in", data={"username": "alice", "password": PASSWORD, "next": target})
        assert done.location == "/"


def test_whoever_is_signed_in_already_goes_on(sign_in: SignIn) -> None:
    assert sign_in("alice").get("/sign-in?next=/alerts").location == "/alerts"


def test_signing_out_ends_the_session(sign_in: SignIn) -> None:
    browser = sign_in("alice")
    assert browser.post("/sign-out").status_code == 303
    assert browser.get("/", headers={"Accept": "text/html"}).status_code == 303


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_chosen_colours_stay(client: FlaskClient, theme: str) -> None:
    assert client.post("/theme", data={"theme": theme, "next": "/sign-in"}).location == "/sign-in"
    assert f'data-theme="{theme}"' in client.get("/sign-in").get_data(as_text=True)


@pytest.mark.parametrize("theme", ["", "pink"])
def test_any_other_choice_follows_the_system(client: FlaskClient, theme: str) -> None:
    client.post("/theme", data={"theme": "dark"})
    client.post("/theme", data={"theme": theme})
    assert "data-theme" not in client.get("/sign-in").get_data(as_text=True)
