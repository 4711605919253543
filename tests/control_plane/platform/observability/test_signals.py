"""Counting: nothing lost between processes, one failure per account and window, and a flush that can fail."""

import threading
from datetime import datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy.exc import OperationalError

from control_plane.platform.db.database import read_only
from control_plane.platform.db.fastpath import CompiledStatement
from control_plane.platform.observability import account_failures, signals
from control_plane.platform.observability.signals import Sample, SeriesKey
from control_plane.signal_counts import Counts

FAILURE = SeriesKey("credit_consumption_failure", "v2", "served")


def observe(*, bad: bool, account: str | None = None) -> Sample:
    return Sample(FAILURE.signal, bad, engine="v2", account=account)


def total() -> Counts:
    with read_only() as session:
        return signals.totals(session).get(FAILURE, Counts(0, 0))


def test_counts_of_many_threads_and_flushes_add_up(app: Flask, now: datetime) -> None:
    def work() -> None:
        with app.app_context():
            for number in range(100):
                signals.record(observe(bad=number % 10 == 0))
                if number % 25 == 0:
                    signals.flush(now)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with app.app_context():
        signals.flush(now)
        assert total() == Counts(bad=40, total=400)


def test_a_broken_account_counts_once_per_window_in_every_process(app: Flask, now: datetime) -> None:
    with app.app_context():
        for _ in range(3):
            signals.record(*[observe(bad=True, account="u1")] * 5, observe(bad=True, account="u2"))
            signals.flush(now)
        assert total() == Counts(bad=2, total=2)
        signals.record(observe(bad=True, account="u1"))
        signals.flush(now + timedelta(seconds=account_failures.WINDOW_SECONDS))
        assert total() == Counts(bad=3, total=3)


def test_minutes_hold_the_counts_of_their_minute(app: Flask, now: datetime) -> None:
    with app.app_context():
        for minute in range(3):
            signals.record(*[observe(bad=False)] * (minute + 1))
            signals.flush(now + timedelta(minutes=minute))
        with read_only() as session:
            found = signals.minutes(session, now + timedelta(minutes=1))
        assert [count.total for count in found.values()] == [2, 3]


def test_counts_that_could_not_be_written_are_written_by_the_next_flush(
    app: Flask, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object) -> None:
        raise OperationalError("INSERT", {}, Exception("away"))

    with app.app_context():
        signals.record(observe(bad=False), observe(bad=True), observe(bad=True, account="u1"))
        with monkeypatch.context() as patch:
            patch.setattr(CompiledStatement, "execute_many", unreachable)
            with pytest.raises(OperationalError):
                signals.flush(now)
        signals.record(observe(bad=False))
        signals.flush(now)
        assert total() == Counts(bad=2, total=4)
