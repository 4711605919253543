"""The stages of a flag's life, as they follow from what is stored and from now."""

from dataclasses import replace
from datetime import timedelta

import pytest

from control_plane.core.default_plan import default_plan
from control_plane.core.lifecycle import CLEANUP_AFTER, LASTING, Stage, stage
from control_plane.core.phases import FlagType, Position, RolloutState, new_rollout
from tests.flags.examples import NOW

PLANNED = new_rollout("F", default_plan(NOW), now=NOW, reason="Planned.")
COMPLETE = replace(PLANNED, state=RolloutState.COMPLETE, position=Position(3, 3), completed_at=NOW)
INSTANT = timedelta(microseconds=1)


def test_it_is_planned_until_it_moves_or_production_is_reached() -> None:
    assert stage(PLANNED, NOW) is Stage.PLANNED
    assert stage(replace(PLANNED, position=Position(1, 0)), NOW) is Stage.ROLLING_OUT
    assert stage(replace(PLANNED, attempt=2, state=RolloutState.ROLLED_BACK), NOW) is Stage.ROLLING_OUT
    production_first = replace(PLANNED.plan, phases=PLANNED.plan.phases[1:])
    assert stage(replace(PLANNED, plan=production_first), NOW) is Stage.ROLLING_OUT


def test_it_is_complete_for_thirty_days_and_cleaned_up_from_then_on() -> None:
    assert stage(COMPLETE, NOW + CLEANUP_AFTER - INSTANT) is Stage.COMPLETE
    assert stage(COMPLETE, NOW + CLEANUP_AFTER) is Stage.CLEANING_UP
    assert stage(COMPLETE, NOW, cleanup_after=timedelta(0)) is Stage.CLEANING_UP


def test_a_complete_flag_that_is_held_stays_complete_and_is_not_cleaned_up() -> None:
    held = replace(COMPLETE, state=RolloutState.HELD)
    assert stage(held, NOW + 2 * CLEANUP_AFTER) is Stage.COMPLETE


@pytest.mark.parametrize("lasting", LASTING)
def test_a_flag_that_is_meant_to_stay_is_never_cleaned_up(lasting: FlagType) -> None:
    kept = replace(COMPLETE, plan=replace(COMPLETE.plan, type=lasting))
    assert stage(kept, NOW + 100 * CLEANUP_AFTER) is Stage.COMPLETE


def test_what_is_archived_is_retired() -> None:
    assert stage(replace(PLANNED, archived_at=NOW), NOW) is Stage.RETIRED
    assert stage(replace(COMPLETE, archived_at=NOW), NOW + CLEANUP_AFTER) is Stage.RETIRED
