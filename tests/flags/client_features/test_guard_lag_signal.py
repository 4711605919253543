"""A guard that judges late is seen by every process, well before its lease ends."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask

from alerts.guard_job import run_guard
from control_plane.platform.db.database import transaction
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import BUFFER, SeriesKey
from control_plane.platform.runtime import leases
from flags.client_features import guard_lag_signal
from flags.client_features.guard_lag_signal import LATE_SECONDS, SIGNAL
from flags.client_features.refresher import REFRESHER

FRESH, LATE, NONE = (1, 0), (0, 1), (0, 0)

CountOnce = Callable[[], tuple[int, int]]


@pytest.fixture
def count_once(app: Flask) -> Iterator[CountOnce]:
    """See how the guard is doing and look once: how many good and bad outcomes that gave."""

    def count_once() -> tuple[int, int]:
        REFRESHER.get(app).confirm(datetime.now(UTC))
        BUFFER.get(app).take()
        guard_lag_signal.check(datetime.now(UTC))
        good, bad, _ = BUFFER.get(app).take()
        return good[SeriesKey(SIGNAL)], bad[SeriesKey(SIGNAL)]

    with app.app_context():
        yield count_once


def beat(seconds_ago: float) -> None:
    """Let the guard's last heartbeat be so long ago."""
    with transaction() as session:
        leases.heartbeat(session, now=datetime.now(UTC) - timedelta(seconds=seconds_ago), term=1, ttl_seconds=30)


def test_before_the_guard_has_judged_nothing_is_known_of_it(count_once: CountOnce) -> None:
    assert count_once() == NONE


def test_a_guard_that_ticks_is_in_time(count_once: CountOnce) -> None:
    run_guard(datetime.now(UTC), 1)
    assert count_once() == FRESH


def test_one_that_falls_behind_is_late_until_it_ticks_again(count_once: CountOnce) -> None:
    beat(LATE_SECONDS + 5)
    assert count_once() == LATE
    run_guard(datetime.now(UTC), 1)
    assert count_once() == FRESH


def test_its_alert_says_from_when_on_it_is_late(count_once: CountOnce) -> None:
    beat(LATE_SECONDS + 5)
    signals.set_bounds({SIGNAL: 60.0})
    assert count_once() == FRESH
