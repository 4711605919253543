"""What can be seen from outside: request ids, the access log, metrics and the guard's signals."""

import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from flask import Flask, Response
from flask.testing import FlaskClient
from flask.typing import ResponseReturnValue
from prometheus_client import REGISTRY
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from control_plane.platform.db.database import read_only
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import BUFFER, SeriesKey
from control_plane.platform.observability.telemetry import collect_at_scrape, exclude_from_access_log, exposition
from control_plane.platform.problems import Problem

ROOT = Path(__file__).parents[3]
STATEMENTS = "rollout_database_statement_seconds_count"

pytestmark = pytest.mark.database("sqlite")


@pytest.fixture(autouse=True)
def routes(app: Flask) -> None:
    def fail() -> ResponseReturnValue:
        raise RuntimeError

    def refuse() -> ResponseReturnValue:
        raise Problem(409, "VERSION_CONFLICT", "It moved on.")

    for path in ("/api/test/fine/<user>", "/api/client/fine", "/fine"):
        app.add_url_rule(path, endpoint=path, view_func=lambda **_: "fine")
    app.add_url_rule("/api/test/fail", view_func=fail)
    app.add_url_rule("/api/client/fail", endpoint="client fail", view_func=fail)
    app.add_url_rule("/api/test/refuse", view_func=refuse)


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def counted(app: Flask, signal: str) -> tuple[int, int]:
    """Return the good and bad outcomes in the buffer since the last look."""
    good, bad, _ = BUFFER.get(app).take()
    return good[SeriesKey(signal)], bad[SeriesKey(signal)]


# Request ids


@pytest.mark.parametrize("given", ["abc-123.DEF_456", "0" * 64])
def test_a_sane_request_id_is_kept(client: FlaskClient, given: str) -> None:
    assert client.get("/fine", headers={"X-Request-Id": given}).headers["X-Request-Id"] == given


@pytest.mark.parametrize("given", ["", "short", "x" * 65, "with space", "<script>", "line\tbreak", "ümlaut-id"])
def test_another_one_is_replaced(client: FlaskClient, given: str) -> None:
    made = client.get("/fine", headers={"X-Request-Id": given}).headers["X-Request-Id"]
    assert re.fullmatch("[0-9a-f]{16}", made)


def test_a_problem_carries_the_request_id_of_its_answer(client: FlaskClient) -> None:
    response = client.get("/api/test/fail")
    assert response.get_json()["request_id"] == response.headers["X-Request-Id"]


# The access log


def test_each_request_is_one_event_with_the_route_and_never_the_query(client: FlaskClient) -> None:
    with capture_logs() as events:
        client.get("/api/test/fine/user-7?token=hunter2", headers={"Authorization": "hunter2"})
    (event,) = [event for event in events if event["event"] == "http.request"]
    assert (event["method"], event["route"], event["status"]) == ("GET", "/api/test/fine/<user>", 200)
    assert event["ms"] >= 0
    assert "hunter2" not in str(event)
    assert "user-7" not in str(event)


def test_a_refusal_is_logged_with_its_code(client: FlaskClient) -> None:
    with capture_logs() as events:
        client.get("/api/test/refuse")
    assert events[-1]["code"] == "VERSION_CONFLICT"


def test_a_quiet_endpoint_is_measured_and_not_logged(app: Flask, client: FlaskClient) -> None:
    exclude_from_access_log(app, "/fine")
    before = value("rollout_http_requests_total", method="GET", route="/fine", status="200")
    with capture_logs() as events:
        client.get("/fine")
    assert events == []
    assert value("rollout_http_requests_total", method="GET", route="/fine", status="200") == before + 1


# Metrics


def test_requests_are_counted_by_route_and_status(client: FlaskClient) -> None:
    labels = {"method": "GET", "route": "/api/test/fine/<user>", "status": "200"}
    before = value("rollout_http_requests_total", **labels)
    for user in range(3):
        client.get(f"/api/test/fine/{user}")
    assert value("rollout_http_requests_total", **labels) == before + 3
    bucket = value("rollout_http_request_seconds_bucket", route="/api/test/fine/<user>", le="5.0")
    assert bucket >= 3


@pytest.mark.parametrize("bound", ["0.05", "0.2", "0.5"])
def test_the_guides_limits_are_bounds_of_their_own(client: FlaskClient, bound: str) -> None:
    client.get("/fine")
    for name, labels in (("rollout_http_request", {"route": "/fine"}), ("rollout_database_statement", {})):
        assert REGISTRY.get_sample_value(f"{name}_seconds_bucket", {**labels, "le": bound}) is not None


def test_what_a_caller_invents_becomes_no_series(app: Flask, client: FlaskClient) -> None:
    for word in ("one", "two"):
        client.get(f"/invented/{word}")
        client.open("/fine", method=word.upper())
    with app.app_context():
        text_format = exposition().decode()
    assert "invented" not in text_format
    assert 'method="OTHER"' in text_format
    assert 'method="TWO"' not in text_format


def test_server_errors_are_counted_from_a_zero_that_was_there_before(app: Flask, client: FlaskClient) -> None:
    with app.app_context():
        exposition()
    assert REGISTRY.get_sample_value("rollout_http_server_errors_total", {"route": "/api/test/fail"}) is not None
    before = value("rollout_http_server_errors_total", route="/api/test/fail")
    client.get("/api/test/fail")
    assert value("rollout_http_server_errors_total", route="/api/test/fail") == before + 1


def test_what_is_read_at_each_scrape_appears_and_its_failure_costs_nothing_else(app: Flask) -> None:
    def exposure() -> Iterable[Metric]:
        return [GaugeMetricFamily("rollout_test_exposure", "Percent.", value=25)]

    def broken() -> Iterable[Metric]:
        raise OSError

    collect_at_scrape(app, broken)
    collect_at_scrape(app, exposure)
    with app.app_context():
        assert b"rollout_test_exposure 25.0" in exposition()


def test_several_processes_add_up_to_one_exposition(tmp_path: Path) -> None:
    """In processes of their own, because the client library decides at its import."""
    program = """
import sys
from flask import Flask
from control_plane.platform.observability import telemetry
telemetry.REQUESTS.labels("GET", "/x", 200).inc(int(sys.argv[1]))
app = Flask("x")
with app.app_context():
    print(telemetry.exposition().decode())
"""
    (directory := tmp_path / "metrics").mkdir()
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(directory), "PYTHONPATH": str(ROOT)}
    for count, total in (("2", "2.0"), ("5", "7.0")):
        run = subprocess.run(
            [sys.executable, "-c", program, count], env=environment, capture_output=True, text=True, check=True
        )
        assert f'rollout_http_requests_total{{method="GET",route="/x",status="200"}} {total}' in run.stdout


# Signals for the guard


def bound(app: Flask, **seconds: float) -> None:
    """Say from when on durations are bad, as the alerts do."""
    with app.app_context():
        signals.set_bounds(seconds)


@pytest.mark.database("postgresql")
def test_a_database_that_does_not_answer_is_an_error_and_a_wrong_statement_is_none(app: Flask) -> None:
    with app.test_request_context():
        with read_only() as session, pytest.raises(OperationalError):  # noqa: PT012 - one statement prepares the other
            session.execute(text("SET LOCAL statement_timeout = 50"))
            BUFFER.get(app).take()
            session.execute(text("SELECT pg_sleep(5)"))
        assert counted(app, "database_error") == (0, 1)
        with read_only() as session, pytest.raises(Exception, match="division by zero"):
            session.execute(text("SELECT 1/0"))
        assert counted(app, "database_error")[1] == 0


@pytest.mark.database("sqlite", "postgresql")
def test_a_statement_that_was_answered_counts_once(app: Flask) -> None:
    with app.test_request_context(), read_only() as session:
        BUFFER.get(app).take()
        session.execute(text("SELECT 1"))
        assert counted(app, "database_error") == (1, 0)


@pytest.mark.database("sqlite", "postgresql")
def test_statements_are_timed_and_reported(app: Flask) -> None:
    before = value(STATEMENTS)
    BUFFER.get(app).take()
    with app.test_request_context(), read_only() as session:
        session.execute(text("SELECT 1"))
    assert value(STATEMENTS) > before
    good, bad = counted(app, "database_query_slow")
    assert good >= 1
    assert bad == 0


def test_statements_nobody_waits_for_are_no_evidence(app: Flask) -> None:
    before = value(STATEMENTS)
    BUFFER.get(app).take()
    with app.app_context(), read_only() as session:
        session.execute(text("SELECT 1"))
    assert value(STATEMENTS) == before
    assert counted(app, "database_query_slow") == (0, 0)


@pytest.mark.database("sqlite", "postgresql")
def test_a_statement_beyond_the_limit_is_reported_slow(app: Flask) -> None:
    bound(app, database_query_slow=-1.0)
    BUFFER.get(app).take()
    with capture_logs() as events, app.test_request_context(), read_only() as session:
        session.execute(text("SELECT :secret AS given"), {"secret": "hunter2"})
    assert counted(app, "database_query_slow")[1] >= 1
    assert any("AS given" in event["statement"] for event in events)
    assert "hunter2" not in str(events)


@pytest.mark.database("postgresql")
def test_a_statement_that_timed_out_is_slow_and_one_that_failed_at_once_is_not(
    app: Flask,
) -> None:
    bound(app, database_query_slow=0.05)
    with app.test_request_context():
        with read_only() as session, pytest.raises(OperationalError):  # noqa: PT012 - one statement prepares the other
            session.execute(text("SET LOCAL statement_timeout = 100"))
            BUFFER.get(app).take()
            session.execute(text("SELECT pg_sleep(5)"))
        assert counted(app, "database_query_slow") == (0, 1)
        with read_only() as session, pytest.raises(Exception, match="division by zero"):
            session.execute(text("SELECT 1/0"))
        assert counted(app, "database_query_slow")[1] == 0


def test_an_error_of_the_database_repeats_no_value(app: Flask) -> None:
    with app.app_context(), read_only() as session, pytest.raises(OperationalError) as error:
        session.execute(text("SELECT :secret FROM nowhere"), {"secret": "hunter2"})
    assert "nowhere" in str(error.value)
    assert "hunter2" not in str(error.value)


def test_a_response_made_without_a_beginning_is_left_alone(app: Flask) -> None:
    with app.test_request_context("/fine"):
        assert "X-Request-Id" not in app.process_response(Response("x")).headers
