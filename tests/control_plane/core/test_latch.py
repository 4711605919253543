"""Where a rollback is in force, and that it exposes nobody anywhere."""

from dataclasses import replace
from datetime import timedelta

import pytest

from control_plane.audiences.exposure import PRODUCTION
from control_plane.core.default_plan import default_plan
from control_plane.core.latch import environments_on, latch_sentence
from control_plane.core.phases import PRE_PRODUCTION, Position, Rollout, RolloutState, exposure, new_rollout, positions
from control_plane.core.rollbacks import cool_down_ends, decide_rearm, decide_restore, decide_rollback
from control_plane.core.transitions import Refusal, Transition
from tests.flags.examples import NOW

ENVIRONMENTS = (*PRE_PRODUCTION, PRODUCTION, "production-eu")
LAST = Position(3, 3)
STATES = [state for state in RolloutState if state is not RolloutState.ROLLED_BACK]


def at(position: Position = LAST, state: RolloutState = RolloutState.RUNNING) -> Rollout:
    return replace(new_rollout("F", default_plan(NOW), now=NOW, reason="Planned."), position=position, state=state)


def rolled_back(rollout: Rollout, *, in_all: bool = False) -> Rollout:
    decision = decide_rollback(rollout, now=NOW, reason="Errors.", in_all=in_all)
    assert isinstance(decision, Transition)
    return decision.after


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("position", positions(default_plan(NOW)))
def test_a_rollback_in_production_leaves_development_and_staging_as_they_were(
    state: RolloutState, position: Position
) -> None:
    before = at(position, state)
    after = rolled_back(before)
    assert [exposure(after, each).empty for each in ENVIRONMENTS] == [False, False, True, True]
    assert all(exposure(after, each) == exposure(before, each) for each in PRE_PRODUCTION)


@pytest.mark.parametrize("state", STATES)
def test_a_rollback_of_all_environments_leaves_it_on_nowhere(state: RolloutState) -> None:
    after = rolled_back(at(state=state), in_all=True)
    assert all(exposure(after, each).empty for each in ENVIRONMENTS)
    assert latch_sentence(after) == ""


def test_a_latch_can_be_widened_and_never_narrowed() -> None:
    narrow = rolled_back(at())
    wide = decide_rollback(narrow, now=NOW + timedelta(hours=1), reason="There too.", in_all=True)
    assert isinstance(wide, Transition)
    assert all(exposure(wide.after, each).empty for each in ENVIRONMENTS)
    assert cool_down_ends(wide.after) == cool_down_ends(narrow)
    assert (wide.after.version, wide.after.state_reason) == (narrow.version + 1, "Errors.")
    for again in (decide_rollback(wide.after, now=NOW, reason="Again.", in_all=wider) for wider in (False, True)):
        assert isinstance(again, Refusal)
        assert [reason.code for reason in again.reasons] == ["ALREADY_ROLLED_BACK"]


def test_a_restore_latches_in_every_environment_whatever_was_in_force() -> None:
    for replaced in (None, at(), rolled_back(at())):
        after = decide_restore(at(), replaced, now=NOW, reason="Restored.").after
        assert all(exposure(after, each).empty for each in ENVIRONMENTS)


def test_arming_again_ends_the_latch_of_every_environment() -> None:
    wide = rolled_back(at(), in_all=True)
    armed = decide_rearm(wide, (), now=NOW + timedelta(days=1), expected_version=wide.version, reason="Mended.")
    assert isinstance(armed, Transition)
    assert environments_on(rolled_back(armed.after)) == PRE_PRODUCTION


def test_those_who_keep_it_are_named_and_nobody_else() -> None:
    assert latch_sentence(at()) == ""
    assert latch_sentence(rolled_back(at())) == "Development and staging keep the flag."
