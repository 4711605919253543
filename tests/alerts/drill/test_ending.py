"""A drill passes by its own failures alone, and however it ends nobody stays exposed by its flag."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask

from alerts.drill import attempt, cleanup, runner
from alerts.drill.attempt import NotGuardedError
from alerts.drill.flag import DRILL, FLAG, SIGNAL
from alerts.drill.report import Report
from alerts.guard_job import run_guard
from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.phases import RolloutState
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import Sample
from tests.alerts.drill.watching import watching

pytestmark = pytest.mark.database("sqlite")


@pytest.fixture(autouse=True)
def guarded(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A guard that has just looked, and drills that begin at once."""
    monkeypatch.setattr(runner, "SETTLE_SECONDS", 0.2)
    with app.app_context():
        run_guard(datetime.now(UTC), 1)
        yield


def drill(timeout_seconds: float = 20.0, healthy_seconds: float = 0.5) -> Report:
    return runner.run(per_second=50, timeout_seconds=timeout_seconds, healthy_seconds=healthy_seconds, actor="olga")


def state() -> RolloutState:
    with read_only() as session:
        return rollouts.find(session, FLAG).state


def is_archived() -> bool:
    """Return whether no SDK is told of the drill's flag."""
    with read_only() as session:
        return rollouts.find(session, FLAG).archived


def expose(now: datetime) -> int:
    """Leave behind the rollout of a drill that was killed; return its attempt."""
    with transaction() as session:
        return attempt.begin(session, now, "olga", "killed", attempt.EVERYONE)


def test_its_own_failures_pass(app: Flask) -> None:
    with watching(app):
        report = drill()
    assert report.passed
    assert "Over its threshold" in report.reason
    assert report.milliseconds is not None


def test_a_rollback_by_somebody_else_is_no_success(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    by_hand = threading.Timer(0.6, _roll_back, [app])
    by_hand.start()
    report = drill(healthy_seconds=3.0)
    by_hand.join()
    assert (report.passed, report.milliseconds) == (False, None)
    assert report.reason.startswith("It was not the drill's alert that rolled back")


def test_failures_that_are_not_its_own_are_no_success(app: Flask) -> None:
    stranger = threading.Timer(0.6, _fail, [app])
    with watching(app):
        stranger.start()
        report = drill(healthy_seconds=3.0)
    stranger.join()
    assert (report.passed, report.failed) == (False, 0)
    assert "before they were evidence enough" in report.reason


def test_a_guard_that_does_nothing_is_no_success_and_the_flag_is_closed() -> None:
    report = drill(timeout_seconds=1.0)
    assert not report.passed
    assert report.reason.startswith("Expected was rollback, and it was none.")
    assert state() is RolloutState.ROLLED_BACK


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_one_that_is_stopped_closes_its_flag(stop: type[BaseException]) -> None:
    looks = iter(range(20))

    def clock() -> float:
        try:
            return next(looks) / 10
        except StopIteration:
            raise stop from None

    with pytest.raises(stop):
        runner.run(per_second=50, timeout_seconds=9, actor="olga", clock=clock)
    assert state() is RolloutState.ROLLED_BACK
    assert is_archived()
    expose(datetime.now(UTC))  # the next one may begin at once
    assert not is_archived()


def test_the_leader_closes_what_a_killed_one_left_and_no_running_one() -> None:
    now = datetime.now(UTC)
    expose(now)
    cleanup.close_abandoned(now)
    assert state() is RolloutState.RUNNING
    with pytest.raises(NotGuardedError, match="Another drill"):
        drill()
    cleanup.close_abandoned(now + timedelta(seconds=11))
    assert state() is RolloutState.ROLLED_BACK
    assert is_archived()
    expose(now + timedelta(seconds=12))


def test_the_leader_archives_what_was_killed_after_its_rollback() -> None:
    now = datetime.now(UTC)
    attempt_number = expose(now)
    with transaction() as session:
        rollouts.roll_back(session, FLAG, ChangeContext(now, "guard", "Over its threshold."), attempt=attempt_number)
    cleanup.close_abandoned(now + timedelta(seconds=11))
    assert is_archived()


def _roll_back(app: Flask) -> None:
    with app.app_context(), transaction() as session:
        rollouts.roll_back(session, FLAG, ChangeContext(datetime.now(UTC), "mallory", "Why not."))


def _fail(app: Flask) -> None:
    with app.app_context():
        for _ in range(20):
            signals.record(Sample(SIGNAL, bad=True, engine=DRILL.candidate))
        signals.flush(datetime.now(UTC))
