"""The machinery as a page: what is ready, who leads, and no secret."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
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


@pytest.mark.parametrize(
    ("raised", "badge", "said"),
    [
        (
            health.Busy("7 of 8 threads answer requests; more of them wait."),
            ("Ready", "Listo"),
            (
                "busy: 7 of 8 threads answer requests; more of them wait.",
                "ocupado: 7 de 8 hilos responden peticiones; hay más en espera.",
            ),
        ),
        (
            health.NotReady("The database takes no changes (its disk is full)."),
            ("Failing", "Con fallos"),
            (
                "The database takes no changes (its disk is full).",
                "La base de datos no acepta cambios (su disco está lleno).",
            ),
        ),
        (RuntimeError(), ("Failing", "Con fallos"), ("failed; the log says why", "falló; el registro dice por qué")),
    ],
)
def test_what_a_check_answers_is_told_in_the_language_of_the_page_and_what_is_busy_is_ready(
    app: Flask, sign_in: SignIn, raised: Exception, badge: tuple[str, str], said: tuple[str, str]
) -> None:
    def ping() -> None:
        raise raised

    with app.app_context():
        health.register("stove", ping)
    victor = sign_in("victor")
    page = page_text(victor.get("/system").text)
    assert f"Readiness {badge[0]}" in page
    assert f"Stove {said[0]}" in page
    page = page_text(victor.get("/system", headers={"Accept-Language": "es"}).text)
    assert f"Disponibilidad {badge[1]}" in page
    assert said[1] in page


def test_before_anything_ran_it_says_so(sign_in: SignIn) -> None:
    page = page_text(sign_in("victor").get("/system").get_data(as_text=True))
    for expected in ("Guard Silent", "Last heartbeat never", "Held by nobody yet", "Nothing was published yet."):
        assert expected in page


def test_it_shows_no_secret(app: Flask, sign_in: SignIn) -> None:
    settings = SETTINGS.get(app)
    page = sign_in("victor").get("/system").get_data(as_text=True)
    assert settings.secret_key not in page
    assert settings.user_jwt_secret not in page
