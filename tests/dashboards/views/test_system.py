"""The machinery as a page: what is ready, who leads, and no secret."""

from collections.abc import Callable
from datetime import UTC, datetime

from flask import Flask
from flask.testing import FlaskClient

from control_plane.core.phases import Rollout
from control_plane.platform.http import health
from control_plane.platform.runtime import jobs, leases
from control_plane.platform.settings import SETTINGS
from tests.dashboards.browsing import page_text, write_session

SignIn = Callable[[str], FlaskClient]


def test_it_names_leader_guard_and_feed(app: Flask, sign_in: SignIn, planned: Rollout) -> None:
    now = datetime.now(UTC)
    with write_session(app) as session:
        leases.acquire(session, jobs.LEADER, "a-worker", now=now, ttl_seconds=30)
        leases.heartbeat(session, now=now, term=1, ttl_seconds=30)
    page = page_text(sign_in("victor").get("/system").get_data(as_text=True))
    for expected in ("Readiness Ready", "Guard Alive", "Leader Alive", "Held by a-worker", "Revision 1;"):
        assert expected in page


def test_it_says_what_is_not_ready(app: Flask, sign_in: SignIn) -> None:
    def ping() -> None:
        raise health.NotReady("The stove is cold.")

    with app.app_context():
        health.register("stove", ping)
    page = page_text(sign_in("victor").get("/system").get_data(as_text=True))
    assert "Readiness Failing" in page
    assert "Stove The stove is cold." in page


def test_before_anything_ran_it_says_so(sign_in: SignIn) -> None:
    page = page_text(sign_in("victor").get("/system").get_data(as_text=True))
    for expected in ("Guard Silent", "Last heartbeat never", "Held by nobody yet", "Nothing was published yet."):
        assert expected in page


def test_it_shows_no_secret(app: Flask, sign_in: SignIn) -> None:
    settings = SETTINGS.get(app)
    page = sign_in("victor").get("/system").get_data(as_text=True)
    assert settings.secret_key not in page
    assert settings.user_jwt_secret not in page
