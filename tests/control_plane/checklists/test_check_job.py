"""The leader's look at checks: one that hangs keeps no other waiting, and the next look comes in time."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from threading import Event, Semaphore

from flask import Flask

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.checklists import check_job, checks, store
from control_plane.core.checklist import Checklist, ChecklistItem, CheckResult, passed
from control_plane.core.default_plan import default_plan
from control_plane.core.transitions import Transition
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.runtime.time_limit import TimeLimit

ITEMS = tuple(ChecklistItem(name, name, name) for name in ("a-first", "hangs", "z-last"))


def found() -> dict[str, bool | None]:
    with read_only() as session:
        return {name: each.result.passed for name, each in store.results(session, FLAG).items()}


def test_a_check_that_hangs_can_not_tell_and_keeps_no_other_waiting(app: Flask) -> None:
    ends, begun, now = Event(), Semaphore(0), datetime.now(UTC)

    def hang(*_: object) -> CheckResult:
        begun.release()
        ends.wait()
        return passed("At last.")

    with app.app_context():
        check_job.LIMIT.set(app, TimeLimit(0.1))
        for item in ITEMS:
            checks.register_check(item.name, hang if item.name == "hangs" else lambda *_: passed("So it is."))
        plan = replace(default_plan(now), checklists=(Checklist("c", "C", ITEMS, phases=("beta",)),))
        with transaction() as session:
            assert isinstance(rollouts.plan(session, FLAG, plan, ChangeContext(now, "alice", "Planned.")), Transition)
        for seconds in (0, 30, 60):
            check_job.refresh(now + timedelta(seconds=seconds))
            assert found() == {"a-first": True, "hangs": None, "z-last": True}
        assert begun.acquire(timeout=5)
        assert not begun.acquire(blocking=False), "one that hangs is not begun again"
        ends.set()
        later = count(90, 30)
        while not found()["hangs"]:  # its thread may take a moment to end
            check_job.refresh(now + timedelta(seconds=next(later)))
