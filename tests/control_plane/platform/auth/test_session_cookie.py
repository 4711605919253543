"""The cookie of a session: where it can't be read, and what answers say of it."""

from collections.abc import Callable

import pytest
from flask import Flask, flash
from flask.testing import FlaskClient

pytestmark = pytest.mark.database("sqlite")


def test_a_browser_whose_cookie_holds_what_nobody_can_read_is_signed_out_and_served(
    app: Flask, client: FlaskClient
) -> None:
    def unreadable() -> str:
        flash("a\x00b")
        return ""

    app.add_url_rule("/unreadable", view_func=unreadable)
    client.get("/unreadable")
    assert client.get_cookie("rollout_session") is not None
    assert client.get("/sign-in").status_code == 200


def test_an_answer_says_that_it_depends_on_the_cookie_where_it_does_alone(
    client: FlaskClient, sign_in: Callable[[str], FlaskClient]
) -> None:
    alice = sign_in("alice")
    assert "Cookie" in alice.get("/").vary
    assert "Cookie" in client.get("/").vary
    assert "Cookie" not in alice.get("/metrics").vary


def test_signing_out_takes_the_cookie_away(sign_in: Callable[[str], FlaskClient]) -> None:
    alice = sign_in("alice")
    answer = alice.post("/sign-out", headers={"Origin": "http://localhost"})
    assert "Cookie" in answer.vary
    assert alice.get_cookie("rollout_session") is None
    assert alice.get("/").status_code == 401
