"""Each fault of a drill against a guard that runs: it does what is expected, for the reason that is expected."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from flask import Flask

from alerts.drill import runner
from alerts.drill.faults import FAULTS, DrillAction, Fault
from alerts.drill.flag import DRILL
from alerts.drill.report import Report
from alerts.guard_job import run_guard
from control_plane.platform.db.database import read_only
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import SeriesKey
from tests.alerts.drill.watching import watching

pytestmark = [pytest.mark.database("sqlite"), pytest.mark.faults]

REASONS = {
    "candidate": "Over its threshold, and candidate alone is to blame.",
    "serving": "Over its threshold, and candidate alone is to blame.",
    "both": "but control fails as well, so going back would not help.",
    "one-plan": "candidate answered",
    "slow": "candidate was too slow in",
}


@pytest.fixture(autouse=True)
def guarded(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A guard that looks ten times a second, and drills that begin at once."""
    monkeypatch.setattr(runner, "SETTLE_SECONDS", 0.3)
    monkeypatch.setattr(runner, "WATCH_SECONDS", 3.0)
    monkeypatch.setattr(runner, "LEARNING_SECONDS", 20.0)
    monkeypatch.setattr(runner, "RENEW_SECONDS", 0.5)
    with app.app_context():
        run_guard(datetime.now(UTC), 1)
        with watching(app):
            yield


def drill(name: str) -> Report:
    return runner.run(name, per_second=150, timeout_seconds=25.0, healthy_seconds=1.0, actor="olga")


@pytest.mark.parametrize("name", FAULTS)
def test_the_guard_does_what_each_fault_asks_for(name: str) -> None:
    report = drill(name)
    assert report.passed, report.reason
    assert report.action is FAULTS[name].expected
    assert REASONS.get(name, "") in report.reason
    assert report.failed > 0
    assert report.seconds >= 0


def test_a_drill_in_which_nothing_fails_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAULTS, "nothing", Fault(DrillAction.NONE, "Nothing fails."))
    report = drill("nothing")
    assert (report.passed, report.reason) == (False, "Nothing failed, so it proves nothing.")


def test_a_guard_that_does_something_else_does_not_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAULTS, "wrong", Fault(DrillAction.NONE, "It fails.", candidate=FAULTS["candidate"].candidate))
    report = drill("wrong")
    assert not report.passed
    assert report.reason.startswith("Expected was none, and it was rollback.")


def test_a_drill_whose_flag_serves_nobody_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_is_served", lambda _number: False)
    report = drill("bursts")
    assert (report.passed, report.served_by_v2) == (False, 0)
    assert report.reason == "Nobody was served once the fault was in force, so it proves nothing."


def failures() -> int:
    with read_only() as session:
        return signals.totals(session)[SeriesKey(DRILL.signals.failure, DRILL.candidate)].bad


def test_drills_within_an_hour_count_like_the_first() -> None:
    assert drill("candidate").passed
    assert drill("one-account").passed, "it has no share of what failed before"
    before = failures()
    again = drill("candidate")
    assert again.passed
    assert failures() - before > 0.8 * again.failed, "none of them is taken for a retry of an earlier drill's"


def test_a_drill_is_judged_by_its_own_operations_and_not_by_those_of_the_drill_before() -> None:
    before = drill("control")
    assert before.passed
    report = drill("candidate")
    assert report.passed
    assert report.failed < before.failed, "it waits for no more failures than the control had"
