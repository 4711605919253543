"""Another threshold on the page of an alert, tried on what was counted in the last days."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from flask import Flask
from flask.testing import FlaskClient

from control_plane.core.phases import Rollout
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import Sample
from tests.dashboards.browsing import page_text

SignIn = Callable[[str], FlaskClient]


@pytest.fixture
def counted(app: Flask, planned: Rollout) -> None:
    """300 webhooks, 30 of which failed."""
    with app.app_context():
        for number in range(300):
            signals.record(Sample("billing_webhook_failure", bad=number % 10 == 0))
        signals.flush(datetime.now(UTC))


TRIAL = "/alerts/billing_webhook_failure?threshold={}&over={}"


def test_another_threshold_is_tried_on_the_last_days_and_changes_nothing(sign_in: SignIn, counted: None) -> None:
    page = page_text(sign_in("victor").get(TRIAL.format("40%25", "10m")).get_data(as_text=True))
    assert "In the last 7 days 30 of 300 (10 %) were bad. The worst window had 30 of 300 (10 %)." in page
    assert "1 % in 10 min Would have held on" in page
    assert "40 % in 10 min Would have done nothing." in page
    assert "billing_webhook_failure: threshold: 40% window: 10m" in page
    assert "Threshold 1 %" in page


def test_figures_may_be_written_as_the_pages_write_them(sign_in: SignIn, counted: None) -> None:
    page = page_text(sign_in("victor").get(TRIAL.format("0,5 %25", "10 min")).text)
    assert "0.5 % in 10 min Would have" in page
    assert "billing_webhook_failure: threshold: 0.5% window: 10m" in page


@pytest.mark.parametrize(
    ("threshold", "over", "sentence"),
    [
        ("0%25", "10m", "The threshold is a share above 0% and up to 50%"),
        ("51%25", "10m", "The threshold is a share above 0% and up to 50%"),
        ("500ms", "10m", "The threshold is a share above 0% and up to 50%"),
        ("lots", "10m", "The threshold is a share above 0% and up to 50%"),
        ("1%25", "10s", "The window is 5 min to 24 h here"),
        ("1%25", "<b>", "The window is 5 min to 24 h here"),
    ],
)
def test_a_threshold_that_can_not_be_tried_is_explained(
    sign_in: SignIn, counted: None, threshold: str, over: str, sentence: str
) -> None:
    answer = sign_in("victor").get(TRIAL.format(threshold, over))
    assert answer.status_code == 200
    assert sentence in page_text(answer.get_data(as_text=True))
    assert "<b>" not in answer.text.partition("Try another")[2].partition("</section>")[0].replace("&lt;b&gt;", "")


def test_an_alert_without_a_rate_to_choose_offers_no_trial(sign_in: SignIn, counted: None) -> None:
    for name in ("credit_double_charge",):
        assert "Try another threshold" not in sign_in("victor").get(f"/alerts/{name}?threshold=1%25").text


def test_of_a_duration_another_share_is_tried_and_the_page_says_why_no_other_duration(
    app: Flask, sign_in: SignIn, planned: Rollout
) -> None:
    with app.app_context():
        for number in range(100):
            signals.record(Sample("credit_status_slow", bad=number < 8))
        signals.flush(datetime.now(UTC))
    victor = sign_in("victor")
    page = page_text(victor.get("/alerts/credit_status_slow").get_data(as_text=True))
    assert "May be slower than 200 ms Another duration can't be tried: of what happened it is known how much" in page
    tried = page_text(victor.get("/alerts/credit_status_slow?threshold=0.5%25&over=5m").get_data(as_text=True))
    assert "In the last 7 days 8 of 100 (8 %) were bad." in tried
    assert "5 % slower than 200 ms in 5 min Would have done nothing." in tried
    assert "0.5 % slower than 200 ms in 5 min Would have notified on" in tried
    assert "credit_status_slow: threshold: 200ms quantile: 99.5 window: 5m" in tried
    refused = page_text(victor.get("/alerts/credit_status_slow?threshold=100ms&over=5m").get_data(as_text=True))
    assert "The threshold is a share above 0% and up to 50%" in refused
