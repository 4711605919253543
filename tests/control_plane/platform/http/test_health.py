"""Alive, ready, measured: answered to orchestrators without a session, a log line or a secret."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from control_plane.platform import settings
from control_plane.platform.db.database import read_only
from control_plane.platform.http import health
from control_plane.platform.http.health import NotReady
from control_plane.platform.http.shutdown import STOPPING
from control_plane.platform.observability import saturation
from control_plane.platform.runtime import change_feed
from control_plane.platform.runtime.jobs import LEAD, jobs_of
from tests import outages

pytestmark = pytest.mark.database("sqlite")


def register(app: Flask, name: str, ping: health.Ping) -> None:
    with app.app_context():
        health.register(name, ping)


def failing(error: Exception) -> health.Ping:
    def ping() -> None:
        raise error

    return ping


def unplug(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise OperationalError("SELECT", {}, Exception("no route to db.internal:5432"))

    monkeypatch.setattr(change_feed, "revision", fail)


def test_alive_touches_nothing(app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    unplug(monkeypatch)
    register(app, "leader", failing(NotReady("No leader.")))
    response = client.get("/healthz")
    assert (response.status_code, response.get_json()) == (200, {"status": "alive"})


def test_ready_while_every_ping_returns(app: Flask, client: FlaskClient) -> None:
    register(app, "snapshot", lambda: None)
    response = client.get("/readyz")
    assert response.status_code == 200
    checks = response.get_json()["checks"]
    assert checks["database"] == checks["snapshot"] == "ok"
    assert response.headers["Cache-Control"] == "no-store"


def test_not_ready_names_what_is_missing_in_its_own_words(app: Flask, client: FlaskClient) -> None:
    register(app, "snapshot", failing(NotReady("The flags are 90 seconds old.")))
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.get_json()["checks"]["snapshot"] == "The flags are 90 seconds old."
    assert response.get_json()["checks"]["database"] == "ok"


def test_a_process_that_is_about_to_stop_is_not_ready(app: Flask, client: FlaskClient) -> None:
    STOPPING.get(app).set()
    response = client.get("/readyz")
    assert (response.status_code, response.get_json()["checks"]["stop"]) == (503, "This process is about to stop.")
    assert client.get("/healthz").status_code == 200, "or it would be killed before its last answers"


def test_an_outage_makes_not_ready_and_tells_the_details_to_the_log_alone(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    unplug(monkeypatch)
    with capture_logs() as events:
        response = client.get("/readyz")
    assert response.status_code == 503
    assert "db.internal" not in response.text
    assert "db.internal" in str(events)


def test_a_crowd_of_requests_is_told_and_no_reason_to_send_them_elsewhere(app: Flask, client: FlaskClient) -> None:
    with app.app_context():
        crowd = saturation.REQUESTS.get()
        threads = settings.current().threads
    for _ in range(threads):
        crowd.begin()
    response = client.get("/readyz")
    assert (response.status_code, response.get_json()["status"]) == (200, "ready")
    assert response.get_json()["checks"]["requests"].startswith(f"busy: {threads} of {threads} threads")
    for _ in range(threads):
        crowd.end()
    assert client.get("/readyz").get_json()["checks"]["requests"] == "ok"


@pytest.mark.parametrize(("others_are_served", "answered"), [(True, (200, "busy: ")), (False, (503, "The da"))])
def test_a_database_that_answers_others_is_busy_and_one_that_answers_nobody_is_away(
    app: Flask,
    client: FlaskClient,
    monkeypatch: pytest.MonkeyPatch,
    others_are_served: bool,
    answered: tuple[int, str],
) -> None:
    waits = threading.Event()
    monkeypatch.setattr(change_feed, "revision", lambda _session: waits.wait(30))
    monkeypatch.setattr(health, "PING_SECONDS", 0.2)
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(client.get, "/readyz")
        while others_are_served and not asked.done():
            with app.app_context(), read_only() as session:
                session.execute(text("SELECT 1"))
        answer = asked.result()
        waits.set()
    assert (answer.status_code, answer.get_json()["checks"]["database"][:6]) == answered


@pytest.mark.parametrize(
    ("outage", "database", "writes"),
    [
        (outages.unreachable, "failed; the log says why", "it can't be reached"),
        (partial(outages.full, table="lease"), "ok", "its disk is full"),
        (outages.read_only_database, "ok", "it is read only"),
    ],
)
@pytest.mark.database("postgresql")
def test_outages_are_told_apart(
    app: Flask, client: FlaskClient, outage: Callable[..., Any], database: str, writes: str
) -> None:
    jobs = jobs_of(app)
    jobs._call(LEAD, jobs._lead)  # there is a lease, which is to be renewed
    with outage(app):
        jobs._call(LEAD, jobs._lead)
        checks = client.get("/readyz").get_json()["checks"]
    assert (checks["database"], checks["writes"]) == (database, f"The database takes no changes ({writes}).")


def test_ready_again_once_the_outage_is_over(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        unplug(patch)
        assert client.get("/readyz").status_code == 503
    assert client.get("/readyz").status_code == 200


def test_probes_leave_no_line_in_the_access_log_and_no_cookie(client: FlaskClient) -> None:
    with capture_logs() as events:
        answers = [client.get(path) for path in ("/healthz", "/readyz", "/metrics")]
    assert [event for event in events if event["event"] == "http.request"] == []
    assert all("Set-Cookie" not in answer.headers for answer in answers)


def test_metrics_are_for_this_machine(client: FlaskClient) -> None:
    response = client.get("/metrics", environ_base={"REMOTE_ADDR": "127.0.0.1"})
    assert response.status_code == 200
    assert response.mimetype == "text/plain"
    assert "rollout_http_requests_total" in response.text


@pytest.mark.parametrize("address", ["10.0.0.9", "203.0.113.5", "::ffff:10.0.0.9", "not an address", ""])
def test_metrics_are_not_for_everybody_else(client: FlaskClient, address: str) -> None:
    response = client.get("/metrics", environ_base={"REMOTE_ADDR": address})
    assert response.status_code == 401
    assert response.get_json()["code"] == "UNAUTHENTICATED"


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-Ip"])
def test_a_proxy_on_this_machine_makes_nobody_local(client: FlaskClient, header: str) -> None:
    response = client.get("/metrics", headers={header: "203.0.113.5"}, environ_base={"REMOTE_ADDR": "127.0.0.1"})
    assert response.status_code == 401


@pytest.mark.parametrize(("kind", "status"), [("admin", 200), ("service", 200), ("client", 403), ("frontend", 403)])
def test_metrics_are_for_whoever_has_the_right_token(
    client: FlaskClient, tokens: dict[str, str], kind: str, status: int
) -> None:
    response = client.get(
        "/metrics", headers={"Authorization": f"Bearer {tokens[kind]}"}, environ_base={"REMOTE_ADDR": "10.0.0.9"}
    )
    assert response.status_code == status


def test_probes_answer_head_and_refuse_the_rest(client: FlaskClient, now: datetime) -> None:
    assert client.head("/healthz").status_code == 200
    assert client.post("/healthz").status_code == 405
