"""Spikes and drops of consumption, told on both databases."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from flask import Flask

from alerts import store
from alerts.analysis.traffic import TrafficHour
from alerts.analysis.verdicts import Status, Verdict
from alerts.guard_job import run_guard
from alerts.notifications import store as notices
from alerts.traffic_check import SIGNAL, WEEK, check, traffic_hour
from control_plane.core.phases import RolloutState
from control_plane.experiments.credits import CREDITS, FLAG
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import SeriesKey
from control_plane.platform.runtime.hourly import HOUR
from control_plane.signal_counts import Counts
from tests.alerts.conftest import StoredRollout


@pytest.fixture(autouse=True)
def inside(app: Flask, stored_rollout: StoredRollout) -> Iterator[None]:
    with app.app_context():
        yield


def served(count: int, at: datetime, engine: str = "v2") -> None:
    with transaction() as session:
        signals.add(session, SeriesKey(CREDITS.signals.routed, engine), Counts(0, count), at)


def weeks_of(count: int, now: datetime, weeks: int = 4) -> None:
    """Record so much served traffic in the hour before `now` of so many weeks."""
    for number in range(1, weeks + 1):
        served(count, now - number * WEEK - HOUR / 2)


def verdict() -> Verdict:
    with read_only() as session:
        return next(each for each in store.latest_verdicts(session, FLAG, attempt=1) if each.alert == SIGNAL)


def concerns() -> list[str]:
    with read_only() as session:
        return [notice.title for notice, _ in notices.latest(session, limit=20) if notice.kind == "concern"]


@pytest.fixture
def hour(now: datetime) -> datetime:
    """The full hour that has just ended."""
    return now.replace(minute=0, second=0, microsecond=0)


@pytest.mark.parametrize("count", [0, 40, 250])
def test_a_drop_or_a_spike_is_told_and_moves_nothing(stored_rollout: StoredRollout, hour: datetime, count: int) -> None:
    weeks_of(100, hour)
    served(count, hour - HOUR / 2)
    run_guard(hour, 1)
    check(hour + timedelta(minutes=1))
    run_guard(hour + timedelta(minutes=1), 1)
    assert (verdict().status, verdict().counts.bad) == (Status.WATCH, 1)
    assert [title.partition(":")[0] for title in concerns()] == [SIGNAL]
    assert stored_rollout.rollout.state is RolloutState.RUNNING


def test_each_hour_counts_once_and_a_further_one_is_told_again(hour: datetime) -> None:
    weeks_of(100, hour)
    weeks_of(100, hour + HOUR)
    run_guard(hour, 1)
    for minutes in (1, 2, 61, 62):
        at = hour + timedelta(minutes=minutes)
        check(at)
        run_guard(at, 1)
    assert (verdict().counts.bad, verdict().counts.total) == (2, 2)
    assert len(concerns()) == 2


def test_an_ordinary_hour_is_good(hour: datetime) -> None:
    weeks_of(100, hour)
    served(60, hour - HOUR / 2)
    served(70, hour - HOUR / 2, engine="legacy")
    run_guard(hour, 1)
    check(hour)
    run_guard(hour + timedelta(seconds=1), 1)
    assert (verdict().counts.bad, verdict().counts.total) == (0, 1)
    assert concerns() == []


def test_weeks_before_anything_was_counted_are_none(hour: datetime) -> None:
    with read_only() as session:
        assert traffic_hour(session, CREDITS, hour) is None
    weeks_of(100, hour, weeks=2)
    with read_only() as session:
        # Counting began in the middle of the earlier hour, which is not known whole.
        assert traffic_hour(session, CREDITS, hour) == TrafficHour(0, [100])
