"""After the guard has rolled back, every part of the pages says so, and who was at fault stays named."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient

from alerts.guard_job import run_guard
from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.phases import Position, Rollout
from control_plane.experiments.credits import FLAG
from control_plane.platform.auth import audit
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import Sample
from control_plane.rollouts import store
from tests.dashboards.browsing import page_text, read_session, write_session

PAGE = f"/rollouts/{FLAG}"

SignIn = Callable[[str], FlaskClient]


@pytest.fixture
def rolled_back(app: Flask, planned: Rollout) -> None:
    """v2 failed while it served everybody, three minutes ago; since then the guard has looked again and again."""
    began = datetime.now(UTC) - timedelta(minutes=3)
    with write_session(app) as session:
        after = replace(planned, version=planned.version + 1, position=Position(3, 3))
        assert store.compare_and_set(session, after, expected_version=planned.version)
    with app.app_context():
        run_guard(began, 1)
        for number in range(60):
            failed = Sample("credit_consumption_failure", bad=True, engine="v2", account=f"u-{number}")
            alone = Sample("credit_failure_v2_only", bad=True, account=f"u-{number}")
            signals.record(
                failed, alone, Sample("credit_consumption_failure", bad=False, engine="legacy", role="shadow")
            )
        for second in range(1, 150, 10):
            run_guard(began + timedelta(seconds=second), 1)
    with write_session(app) as session:
        report = ChangeContext(began + timedelta(seconds=30), "credits", "What v2 served is counted.")
        audit.record(session, report, action="credits.report_rollback", subject=f"rollout:{FLAG}")
    with read_session(app) as session:
        assert rollouts.find(session, FLAG).latched


def test_the_banner_says_what_was_wrong_in_a_sentence_and_keeps_the_figures_in_a_detail(
    sign_in: SignIn, rolled_back: None
) -> None:
    html = sign_in("victor").get(PAGE).text
    banner = html[html.index('class="state ') : html.index('id="remediation"')]
    said, _, figures = banner.partition("<details")
    assert "v2 failed 60 of 60 operations." in page_text(said)
    assert "Chance alone gets this far" not in page_text(said)
    assert "Chance alone gets this far" in page_text(figures)


def test_the_alert_at_fault_stays_breached_and_first(sign_in: SignIn, rolled_back: None) -> None:
    html = sign_in("victor").get(PAGE).text
    first = page_text(html[html.index('id="alert-') :][:1500])
    assert "Credit consumption failure Breached" in first


def test_the_list_names_it_too_and_the_last_change_is_the_guards(sign_in: SignIn, rolled_back: None) -> None:
    page = page_text(sign_in("victor").get("/").text)
    assert "Guardrails Breached Credit consumption failure" in page
    assert "Last change guard," in page


def test_what_was_served_before_is_not_observed_now(app: Flask, sign_in: SignIn, rolled_back: None) -> None:
    page = page_text(sign_in("victor").get(PAGE).text)
    assert "Asked for development and staging Observed no traffic since the last change" in page
    with app.app_context():
        signals.record(*[Sample("credit_consumption_failure", bad=False, engine="legacy")] * 5)
        signals.flush(datetime.now(UTC))
    assert "Observed 0 % by v2, in the last 5 min" in page_text(sign_in("victor").get(PAGE).text)


def test_the_banner_and_the_list_say_what_was_wrong_in_the_readers_language(sign_in: SignIn, rolled_back: None) -> None:
    """The guard's own reason is stored in English; what it found is told from its verdict."""
    client, spanish = sign_in("victor"), {"Accept-Language": "es"}
    found = "Fallos al consumir créditos: v2 falló en 60 de 60 operaciones."
    for address in (PAGE, "/"):
        assert f"legacy atiende a todos en producción. {found}" in page_text(client.get(address, headers=spanish).text)
    assert "Por encima de su umbral, y la culpa es solo de v2." in page_text(client.get(PAGE, headers=spanish).text)


def test_the_page_of_the_alert_says_what_the_guard_did_about_it_and_whom_it_tells(
    sign_in: SignIn, rolled_back: None
) -> None:
    browser = sign_in("victor")
    guilty = page_text(browser.get("/alerts/credit_consumption_failure").text)
    assert "Tells nobody, NOTIFY_URLS is empty" in guilty
    assert "What was done about it All changes Rolled back Credit consumption failure: v2 failed" in guilty
    other = page_text(browser.get("/alerts/credit_drift").text)
    assert "The guard has not acted on it of late, and nobody has overruled it." in other
