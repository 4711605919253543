"""Impact metrics of SDKs become outcomes that alerts can judge; whatever else services count stays out."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from alerts.analysis.rule_counts import sum_counts
from alerts.definitions.parser import parse
from control_plane.platform.db.database import read_only
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import SeriesKey
from control_plane.signal_counts import Counts
from flags.usage.impact_metrics import OutcomeBuffer
from flags.usage.reporter import reporter

Call = Callable[..., TestResponse]


def counter(name: str, *values: float, kind: str = "counter") -> dict[str, object]:
    return {"name": name, "type": kind, "help": "", "samples": [{"labels": {}, "value": value} for value in values]}


def noted(*metrics: dict[str, object], environment: str = "production") -> dict[str, Counts]:
    outcomes = OutcomeBuffer(lambda name: name.startswith("credit_"))
    outcomes.record(metrics, environment=environment)
    return outcomes.take()


def test_two_counters_make_one_measurement() -> None:
    assert noted(counter("checkout_total", 90, 10), counter("checkout_bad", 3)) == {"checkout": Counts(3, 100)}


def test_bad_outcomes_alone_are_outcomes_too() -> None:
    assert noted(counter("checkout_bad", 2)) == {"checkout": Counts(2, 2)}


@pytest.mark.parametrize(
    "metric",
    [
        counter("purchases", 5),
        counter("checkout_total", 5, kind="gauge"),
        counter("Checkout_total", 5),
        counter("credit_variance_total", 5),
        counter("checkout_total", float("nan")),
        counter("checkout_total", -5),
        counter("checkout_total", 1e12),
        counter("checkout_total", 0),
    ],
)
def test_what_is_no_outcome_of_a_service_is_left_out(metric: dict[str, object]) -> None:
    assert noted(metric) == {}


def test_other_environments_do_not_count() -> None:
    assert noted(counter("checkout_total", 5), environment="staging") == {}


def test_what_could_not_be_written_is_kept() -> None:
    outcomes = OutcomeBuffer(lambda _name: False)
    outcomes.record([counter("checkout_total", 5)], environment="production")
    taken = outcomes.take()
    outcomes.record([counter("checkout_bad", 1)], environment="production")
    outcomes.put_back(taken)
    assert outcomes.take() == {"checkout": Counts(1, 6)}


def test_what_an_sdk_reports_reaches_the_alert_that_names_it(app: Flask, call: Call) -> None:
    text = "alerts:\n  checkout_failure: {threshold: 2%, window: 5m, severity: critical, metric: checkout}\n"
    (rule,) = parse(text)
    sent = [counter("checkout_total", 50), counter("checkout_bad", 4), counter("credit_variance_bad", 9)]
    body = {"appName": "shop", "bucket": None, "impactMetrics": sent}
    assert call("POST", "/api/client/metrics", kind="client", json=body).status_code == 202
    with app.app_context():
        reporter().write(datetime.now(UTC))
        with read_only() as session:
            totals = signals.totals(session)
    seen = sum_counts(rule, totals.items())
    assert (seen.bad, seen.total) == (4, 50)
    assert SeriesKey("credit_variance") not in totals, "what this program measures itself is nobody else's to count"


def test_what_a_browser_reports_reaches_no_alert(app: Flask, call: Call) -> None:
    body = {"appName": "shop", "bucket": None, "impactMetrics": [counter("checkout_bad", 4)]}
    assert call("POST", "/api/frontend/client/metrics", kind="frontend", json=body).status_code == 200
    with app.app_context():
        reporter().write(datetime.now(UTC))
        with read_only() as session:
            assert SeriesKey("checkout") not in signals.totals(session)
