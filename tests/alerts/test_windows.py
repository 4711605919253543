"""A window ends now and begins its length ago, whatever the clock's minute."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask

from alerts import gates, store
from alerts.counters import Counters
from alerts.definitions.parser import parse
from alerts.guard_job import run_guard
from control_plane.core.gates import GateStatus
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.observability import signal_points, signals
from control_plane.platform.observability.signals import Sample, SeriesKey
from tests.alerts.conftest import StoredRollout
from tests.statements import noted

SIGNAL = "ours"
MINUTE = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def inside(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield


def count(outcomes: int, at: datetime, *, bad: bool = False, signal: str = SIGNAL, engine: str = "") -> None:
    for number in range(outcomes):
        signals.record(Sample(signal, bad, engine, account=f"{at}{number}"))
    signals.flush(at)


def total_in_window(window: str, at: datetime) -> int:
    rules = parse(f"alerts:\n  a: {{threshold: 1%, window: {window}, severity: critical, metric: {SIGNAL}}}\n")
    with read_only() as session:
        return Counters.read(session, rules, at).in_window(rules[0], at).of(rules[0]).total


@pytest.mark.parametrize("window", ["10s", "30s", "1m", "90s", "5m", "1h"])
def test_it_slides_with_the_clock(window: str) -> None:
    seconds = {"10s": 10, "30s": 30, "1m": 60, "90s": 90, "5m": 300, "1h": 3600}[window]
    for second in range(0, seconds + 120, 5):
        count(1, MINUTE + timedelta(seconds=second))
    for late in (seconds + 60, seconds + 61, seconds + 89, seconds + 119):
        found = total_in_window(window, MINUTE + timedelta(seconds=late))
        due = len([each for each in range(0, seconds + 120, 5) if late - seconds <= each])
        assert due <= found <= due + 2, "ten seconds more at most, and never less"


def test_what_nobody_adds_to_is_read_once_until_a_window_begins_later() -> None:
    rules = parse(f"alerts:\n  a: {{threshold: 1%, window: 1m, severity: info, metric: {SIGNAL}}}\n")

    def read(second: int) -> tuple[int, int]:
        at = MINUTE + timedelta(seconds=second)
        with noted() as sent, read_only() as session:
            found = Counters.read(session, rules, at).in_window(rules[0], at).of(rules[0]).total
        return found, len([statement for statement, _ in sent if "signal_" in statement])

    count(1, MINUTE + timedelta(seconds=5))
    first, statements = read(11)
    assert (first, statements > 1) == (1, True)
    assert read(19) == (1, 1)
    count(1, MINUTE + timedelta(seconds=19))
    assert read(19) == (2, statements)
    assert read(71) == (1, statements), "what was counted in the fifth second is over"


def test_a_long_window_has_all_of_its_first_minute() -> None:
    count(1, MINUTE + timedelta(seconds=20))
    assert total_in_window("1d", MINUTE + timedelta(days=1, seconds=10)) == 1
    assert total_in_window("1d", MINUTE + timedelta(days=1, seconds=60)) == 0


def test_a_long_window_beside_a_short_one_misses_nothing_and_counts_nothing_twice() -> None:
    rules = parse(
        f"alerts:\n  a: {{threshold: 1%, window: 1d, severity: info, metric: {SIGNAL}}}\n"
        f"  b: {{threshold: 1%, window: 5m, severity: info, metric: {SIGNAL}}}\n"
    )
    for number in range(180):
        at = MINUTE + timedelta(seconds=20 * number)
        count(1, at)
        with read_only() as session:
            counters = Counters.read(session, rules, at)
        assert counters.in_window(rules[0], at).of(rules[0]).total == number + 1
        assert min(number + 1, 15) <= counters.in_window(rules[1], at).of(rules[1]).total <= 17


def test_what_was_counted_before_the_minute_began_is_in_verdict_reason_and_rearm(stored_rollout: StoredRollout) -> None:
    run_guard(MINUTE, 1)
    count(180, MINUTE + timedelta(seconds=50), bad=True, signal="credit_consumption_failure", engine="v2")
    later = MINUTE + timedelta(minutes=5, seconds=1)
    run_guard(later, 1)
    with read_only() as session:
        verdicts = store.latest_verdicts(session, FLAG, attempt=1)
        gate = gates.firing(session, stored_rollout.rollout, later)
    verdict = next(each for each in verdicts if each.alert == "credit_consumption_failure")
    assert verdict.window.total == 180
    assert "180 of 180 (100%) were bad in the last 5m" in verdict.reason
    assert gate.status is GateStatus.CLOSED


def test_ten_seconds_that_no_window_begins_in_are_forgotten() -> None:
    count(3, MINUTE)
    with transaction() as session:
        signal_points.forget_slices(session, MINUTE + timedelta(hours=1))
    assert total_in_window("1h", MINUTE + timedelta(hours=1)) == 3
    with transaction() as session:
        signal_points.forget_slices(session, MINUTE + timedelta(hours=3))
        assert signal_points.slices(session, [int(MINUTE.timestamp()) // 10]) == {}


def test_minutes_are_forgotten_after_a_season_some_hours_at_a_time_and_their_sum_stays() -> None:
    for days in (0, 9, 10):
        count(3, MINUTE + timedelta(days=days))
    count(3, MINUTE + timedelta(hours=7))
    later = MINUTE + timedelta(days=99)

    def left() -> list[int]:
        with transaction() as session:
            signal_points.forget_minutes(session, later)
            first = int(MINUTE.timestamp()) // 60
            found = signal_points.points(session, first=first, end=first + 365 * 1440, step=1)
            return sorted(point - first for _, point in found)

    assert left() == [7 * 60, 9 * 1440, 10 * 1440]
    assert left() == left() == [9 * 1440, 10 * 1440]
    with read_only() as session:
        assert signals.totals(session)[SeriesKey(SIGNAL)].total == 12
