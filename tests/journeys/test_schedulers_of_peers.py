"""What went wrong in the ramp schedules of another flag system, and can't here: its pull requests name each fault."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient

from alerts.definitions import rules_file
from alerts.definitions.parser import parse
from alerts.guard_job import run_guard
from control_plane import rollouts
from control_plane.audiences.base import AudienceKind
from control_plane.change_context import ChangeContext
from control_plane.core.phase_gates import AdvanceMode, Approvals, ApproverRole, PhaseGates, Schedule
from control_plane.core.phases import Phase, Plan, RolloutState
from control_plane.core.transitions import Refusal, Transition
from control_plane.experiments.migration import Migration
from control_plane.experiments.registry import register_migration
from control_plane.plans import administration
from control_plane.platform.db.database import transaction
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import Sample
from control_plane.rollouts import approvals, move_job
from tests.control_plane.rollouts.rings import FLAG, do, find, has

PRICES = Migration.named(FLAG, control="list", candidate="tiered", prefix="price")
SECOND = timedelta(seconds=1)
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}


def planned(now: datetime, advance: AdvanceMode | Schedule, *steps: int, gates: PhaseGates | None = None) -> Plan:
    gates = gates or PhaseGates()
    phase = Phase("everyone", "Everyone", AudienceKind.EVERYONE, steps, timedelta(0), advance=advance, gates=gates)
    return Plan((phase,), now)


def local(instant: datetime) -> datetime:
    return instant.replace(tzinfo=None)


@pytest.fixture
def change(now: datetime) -> ChangeContext:
    return ChangeContext(now, "alice", "As agreed.")


@pytest.fixture
def ungated(app: Flask) -> Iterator[None]:
    with app.app_context():
        rollouts.ADVANCE_GATES.set(app, {})
        yield


@pytest.mark.usefixtures("ungated")
def test_a_backlog_of_sixty_steps_is_one_step_by_whoever_resumes(now: datetime, change: ChangeContext) -> None:
    """growthbook#6330: every overdue step was replayed at once."""
    times = tuple(local(now + timedelta(hours=hour)) for hour in range(1, 61))
    do(rollouts.plan, FLAG, planned(now, Schedule(times), *range(1, 62)), change)
    do(rollouts.hold, FLAG, change)
    late = now + timedelta(days=9)
    assert move_job.move_all(late) == []
    assert isinstance(do(rollouts.resume, FLAG, ChangeContext(late, "alice", "Go on.")), Transition)
    assert [len(move_job.move_all(late + each * SECOND)) for each in range(4)] == [1, 0, 0, 0]
    assert find(FLAG).percentage == 2


@pytest.mark.usefixtures("ungated")
def test_no_move_slips_past_an_approval_that_was_just_asked_for(now: datetime, change: ChangeContext) -> None:
    """growthbook#6330: nor does an approval land on another step than the one that was looked at."""
    do(rollouts.plan, FLAG, planned(now, AdvanceMode.WHEN_GATES_OPEN, 10, 50, 100), change)
    asked = PhaseGates(approvals=Approvals(1, (ApproverRole.OWNER,)))
    edited = planned(now, AdvanceMode.WHEN_GATES_OPEN, 10, 50, 100, gates=asked)
    seen = find(FLAG)
    do(administration.edit, FLAG, edited, change, expected_version=1)
    assert isinstance(do(rollouts.advance, FLAG, change, expected_version=seen.version), Refusal)
    assert move_job.move_all(now + SECOND) == []
    with transaction() as session:
        approved = ChangeContext(now, "ruth", "Read it.")
        approvals.approve(session, find(FLAG), approved, role="owner", expected_version=2)
    assert len(move_job.move_all(now + 2 * SECOND)) == 1
    assert move_job.move_all(now + 3 * SECOND) == []
    assert find(FLAG).percentage == 50


@pytest.mark.usefixtures("ungated")
def test_what_a_schedule_completes_stays_on(now: datetime, change: ChangeContext) -> None:
    """growthbook#6416: a flag that was off before was switched on by its schedule and off again in the same second."""
    do(rollouts.plan, FLAG, planned(now, Schedule((local(now + timedelta(hours=1)),)), 100), change)
    late = now + timedelta(hours=1)
    assert len(move_job.move_all(late)) == 1
    for seconds in range(4):
        assert move_job.move_all(late + (1 + seconds) * SECOND) == []
        assert has("production", late)
    assert find(FLAG).state is RolloutState.COMPLETE


@pytest.mark.parametrize("by_guard", [False, True])
@pytest.mark.usefixtures("ungated")
def test_a_rollback_of_the_shortest_plan_that_can_be_sent_leaves_nobody_the_flag(
    sign_in: Callable[[str], FlaskClient], now: datetime, change: ChangeContext, by_guard: bool
) -> None:
    """growthbook#6984: it said that it was rolled back, and the last step stayed on."""
    phase = {"name": "everyone", "title": "Everyone", "audience": "everyone", "steps": [50, 100], "soak": "PT0S"}
    plan = {"new_signups_after": now.isoformat(), "phases": [phase]}
    alice = sign_in("alice")
    made = alice.post("/api/rollouts", json={"flag": FLAG, "plan": plan}, headers=SAME_ORIGIN)
    assert made.status_code == 201, made.json
    do(rollouts.advance, FLAG, change, expected_version=1)
    assert has("production", now)
    if by_guard:
        do(rollouts.answer_breach, FLAG, change, attempt=1, is_candidates=True)
    else:
        rolled_back = alice.post(f"/api/rollouts/{FLAG}/rollback", json={"reason": "Off."}, headers=SAME_ORIGIN)
        assert rolled_back.get_json()["state"] == "rolled_back"
    assert not has("production", now)


def test_a_plan_that_waits_for_evidence_moves_once_the_guard_has_it_and_nobody_looks(
    app: Flask, now: datetime, change: ChangeContext
) -> None:
    """growthbook#6264: what a step waited for was only counted anew when somebody asked."""
    with app.app_context():
        register_migration(PRICES)
        rules_file.current().rules = parse(
            "alerts:\n  price_failure: {threshold: 5%, window: 5m, severity: critical}\n", [PRICES]
        )
        do(rollouts.plan, FLAG, planned(now, AdvanceMode.WHEN_GATES_OPEN, 10, 100), change)
        moved = []
        for second in range(1, 8):
            signals.record(*(Sample("price_failure", bad=False, engine="tiered") for _ in range(20)))
            run_guard(now + second * SECOND, 1)
            moved += [second for _ in move_job.move_all(now + second * SECOND)]
        assert find(FLAG).percentage == 100
        assert moved
        assert moved[0] > 1, "it waited for evidence"


@pytest.mark.parametrize(("worse", "state"), [("tiered", RolloutState.ROLLED_BACK), ("list", RolloutState.RUNNING)])
def test_the_side_that_is_worse_is_blamed_and_not_the_one_it_is_compared_with(
    app: Flask, now: datetime, change: ChangeContext, worse: str, state: RolloutState
) -> None:
    """growthbook#5906: its analyses took the control for the variation, until #6020 turned them round."""
    with app.app_context():
        register_migration(PRICES)
        rules_file.current().rules = parse(
            "alerts:\n  price_failure: {threshold: 5%, window: 5m, severity: critical}\n", [PRICES]
        )
        do(rollouts.plan, FLAG, planned(now, AdvanceMode.BY_HAND, 50, 100), change)
        run_guard(now, 1)
        names = PRICES.signals
        alone = names.failed_candidate_only if worse == "tiered" else names.failed_control_only
        for user in map(str, range(40)):
            for engine, role in (("tiered", "served"), ("list", "shadow")):
                signals.record(Sample(names.failure, bad=engine == worse, engine=engine, role=role, account=user))
            signals.record(Sample(alone, bad=True, account=user))
        run_guard(now + SECOND, 1)
        assert find(FLAG).state is state
