"""Edits of a running plan: whatever is edited, wherever it stands, nobody is exposed who was not."""

import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.audiences.base import AudienceKind
from control_plane.core.default_plan import default_plan
from control_plane.core.phase_gates import AdvanceMode, Schedule
from control_plane.core.phases import (
    LOWEST,
    Phase,
    Plan,
    Position,
    Rollout,
    RolloutState,
    environments_of,
    exposure,
    exposure_at,
    new_rollout,
    positions,
)
from control_plane.core.plan_edits import PLAN_GAINS_USERS, decide_edit, overdue_times, with_plan
from control_plane.core.transitions import Refusal, Transition
from flags.evaluation.evaluator import evaluate
from flags.evaluation.rollout_flag import RolloutFlag
from tests.flags.examples import NOW
from tests.properties import rollouts_at_random

LATER = NOW + timedelta(days=3)
GUIDE = default_plan(NOW)


def at(position: Position, plan: Plan = GUIDE, **changes: Any) -> Rollout:
    standing = replace(new_rollout("FLAG", plan, now=NOW, reason="x"), position=position)
    return replace(standing, **changes)


def edited(rollout: Rollout, plan: Plan) -> Transition | Refusal:
    after = with_plan(rollout, plan, now=LATER)
    return decide_edit(rollout, after, [], expected_version=rollout.version, reason="Better.")


def flag_of(rollout: Rollout, environment: str) -> RolloutFlag:
    return RolloutFlag("FLAG", environment, 1, exposure(rollout, environment), rollout.plan.new_signups_after)


@given(
    seed=st.integers(0, 10**9),
    where=st.floats(0, 0.999),
    state=st.sampled_from(RolloutState),
    kept=st.sampled_from(("another plan", "some phases", "other steps", "another cut-over")),
)
def test_no_edit_exposes_anybody(seed: int, where: float, state: RolloutState, kept: str) -> None:
    chance = random.Random(seed)
    old, other = rollouts_at_random.plan(chance), rollouts_at_random.plan(chance)
    new = {
        "another plan": other,
        "some phases": replace(old, phases=tuple(phase for phase in old.phases if chance.random() < 0.6) or old.phases),
        "other steps": replace(old, phases=tuple(_resized(phase, chance) for phase in old.phases)),
        "another cut-over": replace(old, new_signups_after=other.new_signups_after),
    }[kept]
    everywhere = positions(old)
    rollout = at(everywhere[int(where * len(everywhere))], old, state=state)
    decision = edited(rollout, new)
    if isinstance(decision, Refusal):
        assert {reason.code for reason in decision.reasons} == {PLAN_GAINS_USERS}
        return
    assert decision.after.attempt == rollout.attempt
    for environment in environments_of(old, new):
        before, after = (flag_of(each, environment) for each in (rollout, decision.after))
        for context in rollouts_at_random.users(chance, 30, old):
            assert not evaluate(after, context, NOW).value or evaluate(before, context, NOW).value


@given(st.sampled_from(positions(GUIDE)), st.sampled_from(RolloutState))
def test_no_edit_lets_a_new_attempt_begin_with_everyone(position: Position, state: RolloutState) -> None:
    rollout = at(position, state=state)
    decision = edited(rollout, replace(GUIDE, phases=GUIDE.phases[-1:]))
    assert isinstance(decision, Refusal)
    assert {reason.code for reason in decision.reasons} == {PLAN_GAINS_USERS}


@given(seed=st.integers(0, 10**9), where=st.floats(0, 0.999), state=st.sampled_from(RolloutState))
def test_after_any_edit_a_new_attempt_begins_with_nobody_new(seed: int, where: float, state: RolloutState) -> None:
    chance = random.Random(seed)
    old = rollouts_at_random.plan(chance)
    new = replace(old, phases=tuple(_resized(phase, chance) for phase in old.phases if chance.random() < 0.8))
    everywhere = positions(old)
    if not new.phases:
        return
    decision = edited(at(everywhere[int(where * len(everywhere))], old, state=state), new)
    if isinstance(decision, Transition):
        for environment in environments_of(old, new):
            before, after = (exposure_at(plan, LOWEST, environment) for plan in (old, new))
            assert not after.adds_somebody_to(before)


@given(st.sampled_from(positions(GUIDE)), st.sampled_from(RolloutState))
def test_what_changes_no_audience_keeps_the_step_and_its_soak(position: Position, state: RolloutState) -> None:
    rollout = at(position, state=state)
    slower = replace(GUIDE, phases=tuple(replace(phase, soak=timedelta(days=30)) for phase in GUIDE.phases))
    decision = edited(rollout, slower)
    assert isinstance(decision, Transition)
    after = decision.after
    assert (after.position, after.entered_at) == (position, rollout.entered_at)
    assert (after.version, after.plan_version) == (2, 2)


def test_a_phase_before_the_step_that_would_let_others_in_is_refused_with_who_they_are() -> None:
    team = Phase("team", "Team", AudienceKind.EVERYONE, (1,), timedelta(0))
    wider = replace(GUIDE, phases=(*GUIDE.phases[:2], team, *GUIDE.phases[2:]))
    refused = edited(at(Position(2, 0)), wider)
    assert isinstance(refused, Refusal)
    assert "production, Everyone: from 0 % to 1 %." in refused.sentence


def test_a_higher_percentage_at_the_step_it_stands_on_waits_for_an_advance() -> None:
    steeper = replace(GUIDE.phases[3], steps=(20, 100))
    after = with_plan(at(Position(3, 0)), replace(GUIDE, phases=(*GUIDE.phases[:3], steeper)), now=LATER)
    assert (after.phase.name, after.percentage, after.entered_at) == ("new-signups", 100, LATER)


def test_a_phase_that_is_gone_leaves_it_at_the_highest_step_that_exposes_nobody_new() -> None:
    without = replace(GUIDE, phases=(GUIDE.phases[0], GUIDE.phases[1], GUIDE.phases[3]))
    after = with_plan(at(Position(2, 1)), without, now=LATER)
    assert (after.phase.name, after.percentage) == ("beta", 100)


def test_a_complete_rollout_with_something_left_to_do_runs_again() -> None:
    short = replace(GUIDE, phases=GUIDE.phases[:3])
    complete = at(Position(2, 3), short, state=RolloutState.COMPLETE, completed_at=NOW)
    after = with_plan(complete, GUIDE, now=LATER)
    assert (after.state, after.position, after.state_changed_at) == (RolloutState.RUNNING, Position(2, 3), LATER)
    assert after.completed_at is None
    same = with_plan(complete, replace(short, owner="alice"), now=LATER)
    assert (same.state, same.completed_at) == (RolloutState.COMPLETE, NOW)


def test_a_complete_rollout_whose_last_step_is_another_one_soaks_again() -> None:
    short = replace(GUIDE, phases=GUIDE.phases[:3])
    complete = at(Position(2, 3), short, state=RolloutState.COMPLETE, completed_at=NOW)
    fewer = replace(short, phases=(*short.phases[:2], replace(short.phases[2], steps=(10,))))
    after = with_plan(complete, fewer, now=LATER)
    assert (after.state, after.completed_at, after.entered_at) == (RolloutState.RUNNING, None, LATER)


def test_an_edit_that_reopens_a_held_rollout_leaves_it_held() -> None:
    short = replace(GUIDE, phases=GUIDE.phases[:3])
    held = at(Position(2, 3), short, state=RolloutState.HELD, completed_at=NOW)
    after = with_plan(held, GUIDE, now=LATER)
    assert (after.state, after.completed_at) == (RolloutState.HELD, None)


def _resized(phase: Phase, chance: random.Random) -> Phase:
    if phase.audience in (AudienceKind.ENVIRONMENTS, AudienceKind.ALLOWLIST):
        return phase
    return replace(phase, steps=tuple(sorted(chance.sample(range(1, 101), chance.randint(1, 4)))))


@pytest.mark.parametrize(
    ("known", "added", "state", "refused"),
    [
        ((), (48,), RolloutState.RUNNING, 1),
        ((), (48,), RolloutState.HELD, 1),
        ((24,), (24, 48), RolloutState.RUNNING, 1),
        ((), (72,), RolloutState.RUNNING, 1),
        ((), (73,), RolloutState.RUNNING, 0),
        ((48,), (48, 96), RolloutState.RUNNING, 0),
        ((), (0,), RolloutState.RUNNING, 0),
        ((), (48,), RolloutState.ROLLED_BACK, 0),
        ((), (48,), RolloutState.COMPLETE, 1),  # it has steps left, so the edit lets it run again
    ],
)
def test_a_time_that_is_over_is_not_added(
    known: tuple[int, ...], added: tuple[int, ...], state: RolloutState, refused: int
) -> None:
    """It would advance the rollout at once; one that was planned before and waits for a gate stays."""

    def scheduled(hours: tuple[int, ...]) -> Plan:
        times = tuple((NOW + timedelta(hours=each)).replace(tzinfo=None) for each in hours)
        advance = Schedule(times) if times else AdvanceMode.BY_HAND
        return replace(GUIDE, phases=(replace(GUIDE.phases[0], advance=advance), *GUIDE.phases[1:]))

    completed_at = NOW if state is RolloutState.COMPLETE else None
    before = at(LOWEST, scheduled(known), state=state, completed_at=completed_at)
    after = with_plan(before, scheduled(added), now=LATER)
    assert len(list(overdue_times(before, after, LATER))) == refused
