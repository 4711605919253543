"""Whatever a request causes counts under the side that served it, and under no other flag's."""

from collections.abc import Iterator
from datetime import datetime

import pytest
from flask import Flask

from alerts.analysis.attribution import NO_ARMS
from alerts.counters import Counters, CounterWindow
from alerts.definitions.parser import parse
from control_plane.core.phases import Position
from control_plane.experiments.credits import FLAG
from control_plane.experiments.migration import Migration
from control_plane.platform.db.database import read_only
from control_plane.platform.observability import request_outcomes, signals
from control_plane.platform.observability.request_outcomes import arm_label
from control_plane.platform.observability.signals import BUFFER, Sample, SeriesKey
from control_plane.signal_counts import Counts
from credits_engine.api import users
from tests.faults.product import Product

ERRORS, SLOW = "api_error_rate", "database_query_slow"
PRICES = Migration.named("ENABLE_TIERED_PRICES", control="list", candidate="tiered", prefix="price")
RULE = "alerts:\n  errors: {{threshold: 1%, window: 5m, severity: critical, metric: {0}, flag: {1}}}"
OURS, THEIRS, NOBODYS = (
    parse(RULE.format(ERRORS, flag), known)[0]
    for flag, known in ((FLAG, ()), (PRICES.flag, (PRICES,)), ("ENABLE_SOMETHING", ()))
)


@pytest.fixture(autouse=True)
def inside(app: Flask) -> Iterator[None]:
    with app.app_context():
        BUFFER.get().take()
        yield


def test_errors_and_statements_of_a_consumption_are_those_of_the_engine_that_served(
    app: Flask, service_token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    product = Product(app, monkeypatch, service_token, Position(3, 2))
    BUFFER.get().take()
    for number in range(20):
        assert product.ask(f"u{number}") == 200
    good, _, _ = BUFFER.get().take()
    labels = {arm_label(FLAG, side) for side in ("v2", "legacy")}
    for signal in (ERRORS, SLOW, "database_error", "credit_api_slow"):
        assert {series.engine for series in good if series.signal == signal} == labels, signal


def test_a_card_that_the_engine_can_not_fill_counts_under_the_engine_that_serves(
    app: Flask, service_token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is what users see of their credits; what fails there failed unseen."""
    product = Product(app, monkeypatch, service_token, Position(3, 3))

    def fail(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(users, "summary", fail)
    BUFFER.get().take()
    answer = product.client.get("/embed/credits?userId=u1", headers=product.headers)
    assert answer.status_code == 500
    _, _, failures = BUFFER.get().take()
    assert {each.engine for each in failures if each.signal == ERRORS} == {arm_label(FLAG, "v2")}


def record(engine: str, bad: int, total: int, now: datetime) -> None:
    for number in range(total):
        signals.record(Sample(ERRORS, number < bad, engine))
    signals.flush(now)


def test_an_alert_of_one_flag_reads_nothing_of_what_another_flag_routed(now: datetime) -> None:
    record(arm_label(FLAG, "v2"), 5, 10, now)
    record(arm_label(FLAG, "legacy"), 3, 20, now)
    record(arm_label(PRICES.flag, "tiered"), 1, 40, now)
    record("", 0, 7, now)
    with read_only() as session:
        counters = Counters.read(session, (OURS, THEIRS, NOBODYS), now)
    found = {rule.flag: counters.of(rule) for rule in (OURS, THEIRS, NOBODYS)}
    assert found == {FLAG: Counts(8, 37), PRICES.flag: Counts(1, 47), "ENABLE_SOMETHING": Counts(0, 7)}
    arms = {rule.flag: counters.in_window(rule, now).arms(rule).candidate for rule in (OURS, THEIRS, NOBODYS)}
    assert arms == {FLAG: Counts(5, 10), PRICES.flag: Counts(1, 40), "ENABLE_SOMETHING": Counts()}
    assert not NOBODYS.needs_pairs, "a flag without engines is not attributed by the credits'"


def test_a_request_that_two_flags_routed_counts_once_for_each(app: Flask) -> None:
    with app.test_request_context("/api/credits/consume"):
        request_outcomes.begin()
        request_outcomes.prove("a service")
        request_outcomes.set_arm(FLAG, "v2")
        request_outcomes.set_arm(PRICES.flag, "list")
        request_outcomes.observe(Sample(ERRORS, bad=False))
        request_outcomes.end(failed=False, nobodys_fault=False)
    good, _, _ = BUFFER.get().take()
    assert {series.engine: number for series, number in good.items()} == {
        arm_label(FLAG, "v2"): 1,
        arm_label(PRICES.flag, "list"): 1,
    }


def test_what_a_shadow_did_not_answer_is_no_failure_of_the_side_that_served() -> None:
    (rule,) = parse("alerts: {credit_shadow_skipped: {threshold: 5%, window: 5m, severity: warning}}")
    skipped = [(SeriesKey(rule.signal, engine), Counts(9, 10)) for engine in ("v2", "legacy")]
    window = CounterWindow.over(skipped)
    assert window.of(rule) == Counts(9, 10), "where v2 served"
    assert window.arms(rule) == NO_ARMS
