"""The guard goes one step down first where the plan says so: for the candidate's faults, never twice in one soak."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from flask import Flask

from alerts.guard_job import run_guard
from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.default_plan import default_plan
from control_plane.core.phase_gates import OnBreach
from control_plane.core.phases import Position, RolloutState
from control_plane.experiments.credits import FLAG
from control_plane.plans import administration
from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import Sample
from tests.alerts.test_guard import TRIPWIRES, answers, pairs, rollout, stand_at

SECOND = timedelta(seconds=1)
SOAK = timedelta(hours=2)


@pytest.fixture(autouse=True)
def exposed(app: Flask, now: datetime) -> Iterator[None]:
    """A rollout at 25 % of everyone that may go back by steps, judged once."""
    guide = default_plan(now)
    phases = tuple(replace(phase, on_breach=OnBreach.STEP_BACK, soak=SOAK) for phase in guide.phases)
    with app.app_context():
        with transaction() as session:
            change = ChangeContext(now, "alice", "The guide.")
            rollouts.plan(session, FLAG, replace(guide, phases=phases), change)
        stand_at(Position(3, 1))
        run_guard(now, 1)
        yield


def test_a_fault_of_the_candidate_goes_one_step_down_and_holds(now: datetime) -> None:
    pairs(good=10, bad=10)
    (done,) = run_guard(now + SECOND, 1)
    found = rollout()
    assert done.after.position == found.position == Position(3, 0)
    assert (found.state, found.held_by_guard, found.attempt) == (RolloutState.HELD, False, 2)
    assert found.stepped_back_at == found.entered_at == now + SECOND
    with read_only() as session:
        entry = audit.latest(session)[0]
    assert (entry.actor, entry.action) == ("guard", "rollout.step_back")
    assert entry.after is not None
    assert entry.after["evidence"]["verdicts"][0]["attribution"] == "v2_only"


def test_what_was_seen_of_the_step_above_is_not_held_against_the_one_below(now: datetime) -> None:
    pairs(good=10, bad=10)
    assert len(run_guard(now + SECOND, 1)) == 1
    for second in range(2, 20):
        assert run_guard(now + second * SECOND, 1) == []
    assert rollout().position == Position(3, 0)
    assert rollout().state is RolloutState.HELD


def test_a_second_breach_within_one_soak_time_latches(now: datetime) -> None:
    for second in (1, 2):
        pairs(good=10, bad=10)
        run_guard(now + second * SECOND, 1)
        run_guard(now + second * SECOND + SECOND / 2, 1)
    found = rollout()
    assert (found.state, found.attempt, found.position) == (RolloutState.ROLLED_BACK, 2, Position(3, 0))


def test_one_after_that_steps_back_once_more(now: datetime) -> None:
    pairs(good=10, bad=10)
    run_guard(now + SECOND, 1)
    later = now + SECOND + SOAK
    run_guard(later - SECOND, 1)
    pairs(good=10, bad=10)
    run_guard(later, 1)
    found = rollout()
    assert (found.state, found.attempt, found.position) == (RolloutState.HELD, 3, Position(2, 3))


@pytest.mark.parametrize("signal", TRIPWIRES)
def test_what_must_never_happen_latches_at_once(now: datetime, signal: str) -> None:
    signals.record(Sample(signal, bad=True))
    run_guard(now + SECOND, 1)
    assert rollout().state is RolloutState.ROLLED_BACK


def test_a_fault_whose_owner_is_not_known_latches(now: datetime) -> None:
    answers(good=10, bad=10)
    run_guard(now + SECOND, 1)
    assert rollout().state is RolloutState.ROLLED_BACK


def test_without_the_plans_word_it_latches(now: datetime) -> None:
    found = rollout()
    with transaction() as session:
        change = ChangeContext(now, "alice", "No steps.")
        plan = default_plan(now)
        rolled = replace(plan, phases=tuple(replace(phase, soak=SOAK) for phase in plan.phases))
        administration.edit(session, FLAG, rolled, change, expected_version=found.version)
    pairs(good=10, bad=10)
    run_guard(now + SECOND, 1)
    assert rollout().state is RolloutState.ROLLED_BACK
