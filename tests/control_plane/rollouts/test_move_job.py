"""Moves by schedule on both databases: once whoever acts, audited, never past a gate, killed or not."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from control_plane import rollouts
from control_plane.audiences.base import AudienceKind
from control_plane.change_context import ChangeContext
from control_plane.core.gates import GateResult, GateStatus
from control_plane.core.phase_gates import AdvanceMode, Schedule
from control_plane.core.phases import Phase, Plan, Rollout, RolloutState
from control_plane.core.transitions import Transition
from control_plane.plans import administration
from control_plane.platform import clock
from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.problems import Problem
from control_plane.rollouts import approvals, move_job, store

FLAGS = 50
WORKERS = 2


class Killed(BaseException):
    """A worker is killed: nothing catches it."""


@pytest.fixture(autouse=True)
def no_other_gates(app: Flask) -> None:
    """No gate of another package is in the way."""
    with app.app_context():
        rollouts.ADVANCE_GATES.set(app, {})


def make(
    flag: str, now: datetime, advance: AdvanceMode | Schedule = AdvanceMode.WHEN_GATES_OPEN, steps: int = 4
) -> None:
    phase = Phase(
        "everyone", "Everyone", AudienceKind.EVERYONE, tuple(range(1, steps + 1)), timedelta(0), advance=advance
    )
    with transaction() as session:
        rollouts.plan(session, flag, Plan((phase,), now), ChangeContext(now, "alice", "Planned."))


def entries(flag: str) -> list[tuple[str, str]]:
    with read_only() as session:
        return [(each.actor, each.action) for each in audit.latest(session, subject=f"rollout:{flag}")]


def test_a_move_is_the_schedules_in_the_audit_trail(app: Flask, now: datetime) -> None:
    with app.app_context():
        make("SEARCH", now)
        assert len(move_job.move_all(now + timedelta(minutes=1))) == 1
        assert entries("SEARCH")[0] == ("schedule", "rollout.advance")
        with read_only() as session:
            assert rollouts.find(session, "SEARCH").percentage == 2


def test_times_that_are_overdue_make_one_move(app: Flask, now: datetime) -> None:
    with app.app_context():
        times = tuple((now + timedelta(hours=hour)).replace(tzinfo=None) for hour in (1, 2, 3))
        make("SEARCH", now, Schedule(times))
        late = now + timedelta(hours=9)
        assert [len(move_job.move_all(late + timedelta(seconds=each))) for each in range(3)] == [1, 0, 0]


def test_no_gate_that_is_not_open_is_passed_and_the_last_step_completes(app: Flask, now: datetime) -> None:
    with app.app_context():
        make("SEARCH", now, steps=2)
        for status in (GateStatus.CLOSED, GateStatus.UNKNOWN):
            rollouts.register_gate("served", lambda *_, status=status: GateResult("served", status, "No."))
            assert move_job.move_all(now) == []
        rollouts.register_gate("served", lambda *_: GateResult("served", GateStatus.OPEN, "Yes."))
        assert [len(move_job.move_all(now)) for _ in range(3)] == [1, 1, 0]
        with read_only() as session:
            assert rollouts.find(session, "SEARCH").state is RolloutState.COMPLETE


def test_a_named_person_lets_a_move_pass_what_cannot_tell_and_nothing_that_is_closed(app: Flask, now: datetime) -> None:
    with app.app_context():
        make("SEARCH", now)
        status = [GateStatus.UNKNOWN]
        rollouts.register_gate("served", lambda *_: GateResult("served", status[0], "No traffic is known."))
        assert move_job.move_all(now) == []
        with transaction() as session:
            found = rollouts.find(session, "SEARCH")
            assert "once somebody approves the step" in move_job.planned_move(session, found, now).sentence
            change = ChangeContext(now, "alice", "Seen by hand.")
            with pytest.raises(Problem, match="approved by the role owner"):
                approvals.approve(session, found, change, role="operator", expected_version=1)
            approvals.approve(session, found, change, role="owner", expected_version=1)
        status[0] = GateStatus.CLOSED
        assert move_job.move_all(now) == []
        status[0] = GateStatus.UNKNOWN
        (moved,) = move_job.move_all(now + timedelta(minutes=1))
        assert moved.reason == "Approved by alice: Seen by hand."
        with read_only() as session:
            sealed = audit.latest(session, action="rollout.advance")[0]
        assert sealed.actor == "schedule"
        assert (sealed.after or {})["evidence"]["approved_by"] == [{"actor": "alice", "reason": "Seen by hand."}]
        assert move_job.move_all(now + timedelta(minutes=2)) == []  # it was for that step alone


def test_where_the_plan_lets_nobody_pass_what_cannot_tell_nothing_moves(app: Flask, now: datetime) -> None:
    with app.app_context():
        make("SEARCH", now)
        rollouts.register_gate("served", lambda *_: GateResult("served", GateStatus.UNKNOWN, "No traffic is known."))
        with transaction() as session:
            found = rollouts.find(session, "SEARCH")
            plan = replace(found.plan, phases=(replace(found.phase, unknown_may_be_approved=False),))
            change = ChangeContext(now, "alice", "Strict.")
            administration.edit(session, "SEARCH", plan, change, expected_version=1)
            found = rollouts.find(session, "SEARCH")
            approvals.approve(session, found, change, role="owner", expected_version=2)
        assert move_job.move_all(now) == []


def test_nothing_moves_by_a_clock_that_is_not_the_databases(
    app: Flask, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    with app.app_context():
        make("SEARCH", now)
        monkeypatch.setattr(clock, "host_time", lambda: datetime.now(UTC) + timedelta(seconds=60))
        assert move_job.move_all(now) == []
        with read_only() as session:
            found = rollouts.find(session, "SEARCH")
            apart = move_job.clocks_apart(session)
            assert "seconds apart" in move_job.planned_move(session, found, now, clocks_apart=apart).sentence


def test_one_rollout_that_fails_keeps_no_other_waiting(app: Flask, now: datetime) -> None:
    def fail(_session: Session, rollout: Rollout, _now: datetime) -> GateResult:
        if rollout.flag == "A":
            raise RuntimeError("This gate is broken.")
        return GateResult("served", GateStatus.OPEN, "Yes.")

    with app.app_context():
        make("A", now)
        make("B", now)
        rollouts.register_gate("served", fail)
        assert [each.after.flag for each in move_job.move_all(now)] == ["B"]


def test_two_workers_and_kills_make_each_of_fifty_moves_once(
    app: Flask, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kill workers in the midst of the transaction of every third move, and let the others race."""
    with app.app_context():
        time = ((now + timedelta(hours=1)).replace(tzinfo=None),)
        for number in range(FLAGS):
            make(f"F{number:02}", now, Schedule(time))
    done, lock, kills = list[str](), threading.Lock(), list[str]()
    real = store.compare_and_set

    def kill_now_and_then(session: Session, after: Rollout, **options: Any) -> bool:
        stored = real(session, after, **options)
        flag = after.flag
        with lock:
            first = stored and flag not in kills and int(flag[1:]) % 3 == 0
            if first:
                kills.append(flag)
        if first:
            raise Killed
        return stored

    monkeypatch.setattr(store, "compare_and_set", kill_now_and_then)
    _race(app, done, lock, now + timedelta(hours=2))
    assert sorted(done) == [f"F{number:02}" for number in range(FLAGS)]
    assert len(kills) == 17
    with app.app_context(), read_only() as session:
        assert {rollout.version for rollout in store.load_all(session)} == {2}
        assert audit.verify(session).intact


def _finished(app: Flask, done: list[str], lock: threading.Lock, later: datetime) -> bool:
    """Move whatever is due; False where this worker was killed before the end."""
    try:
        with app.app_context():
            for number in range(FLAGS):
                with transaction() as session:
                    decision = move_job.move(session, f"F{number:02}", later)
                if isinstance(decision, Transition):
                    with lock:
                        done.append(decision.after.flag)
    except Killed:
        return False
    return True


def _race(app: Flask, done: list[str], lock: threading.Lock, later: datetime) -> None:
    """Let workers move whatever is due until all is done; one that is killed begins again."""

    def work() -> None:
        while not _finished(app, done, lock, later):
            pass

    workers = [threading.Thread(target=work) for _ in range(WORKERS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def test_two_owners_who_press_at_once_make_one_move_and_one_is_told_so(app: Flask, now: datetime) -> None:
    """Two hundred times."""
    with app.app_context():
        make("SEARCH", now, AdvanceMode.BY_HAND, steps=100)
    for round_number in range(200):
        outcomes = _press(app, now + timedelta(seconds=round_number), round_number)
        assert sorted(outcomes) == ["Refusal", "Transition"]


def _press(app: Flask, now: datetime, number: int) -> list[str]:
    barrier, outcomes = threading.Barrier(2), list[str]()
    with app.app_context(), read_only() as session:
        version = rollouts.find(session, "SEARCH").version

    def press(use_case: Callable[..., object]) -> None:
        with app.app_context():
            barrier.wait()
            with transaction() as session:
                decision = use_case(session, "SEARCH", ChangeContext(now, "alice", "x"), expected_version=version)
            outcomes.append(type(decision).__name__)

    use_case = rollouts.advance if number % 2 == 0 else rollouts.step_back
    threads = [threading.Thread(target=press, args=(use_case,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def test_the_replaced_rollout_is_never_moved_by_what_was_seen_before(app: Flask, now: datetime) -> None:
    with app.app_context():
        make("SEARCH", now)
        with transaction() as session:
            before = rollouts.find(session, "SEARCH")
            assert store.compare_and_set(session, replace(before, version=9), expected_version=1)
            refused = rollouts.advance(
                session, "SEARCH", ChangeContext(now, "schedule"), expected_version=before.version
            )
        assert not isinstance(refused, Transition)
