"""The present goes on by the database's clock, whatever becomes of this host's."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask

from control_plane.platform import clock
from control_plane.platform.clock import TOLERANCE_SECONDS, DatabaseClock
from control_plane.platform.db.database import current_time, db, read_only

FAR = timedelta(minutes=5)


def observed(by: DatabaseClock, at: datetime, *, uncertain: float = 0.0) -> None:
    now = time.monotonic()
    by.observe(at, sent=now - uncertain, answered=now + uncertain)


def test_until_the_database_was_asked_the_host_counts(monkeypatch: pytest.MonkeyPatch, now: datetime) -> None:
    monkeypatch.setattr(clock, "host_time", lambda: now)
    assert DatabaseClock().now() == now


@pytest.mark.parametrize("apart", [FAR, -FAR])
def test_a_host_that_is_set_while_it_runs_moves_no_present(monkeypatch: pytest.MonkeyPatch, apart: timedelta) -> None:
    found, truth = DatabaseClock(), datetime.now(UTC)
    observed(found, truth)
    monkeypatch.setattr(clock, "host_time", lambda: datetime.now(UTC) + apart)
    assert truth - timedelta(seconds=1) <= found.now() < truth + FAR / 2


def test_the_present_goes_back_by_no_measurement_that_is_as_uncertain(now: datetime) -> None:
    found = DatabaseClock()
    observed(found, now)
    before = found.now()
    observed(found, now - timedelta(seconds=TOLERANCE_SECONDS / 2))
    observed(found, now - timedelta(seconds=2), uncertain=2.5)
    assert found.now() >= before


def test_another_database_with_another_clock_is_followed(now: datetime) -> None:
    """After a failover the clock of the new primary is the one that all hosts share."""
    found = DatabaseClock()
    observed(found, now)
    observed(found, now + FAR)
    assert found.now() >= now + FAR


@pytest.mark.database("postgresql")
def test_each_connection_and_each_look_read_the_clock_of_the_database(
    app: Flask, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = DatabaseClock()
    monkeypatch.setattr(clock, "DATABASE_CLOCK", found)
    monkeypatch.setattr(clock, "host_time", lambda: now)
    with app.app_context():
        db.engine.dispose()
        with read_only() as session:
            assert abs(clock.now() - datetime.now(UTC)) < FAR
            observed(found, now)
            current_time(session)
            assert abs(clock.now() - datetime.now(UTC)) < FAR
