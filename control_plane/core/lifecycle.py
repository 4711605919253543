"""The stages in the life of a flag under a rollout, from what is stored and from now alone. Pure."""

from datetime import datetime, timedelta
from enum import StrEnum

from control_plane.core.phases import LOWEST, FlagType, Rollout, RolloutState, exposure_at

CLEANUP_AFTER = timedelta(days=30)
LASTING = (FlagType.KILL_SWITCH, FlagType.PERMISSION)
"""Types of flags that are meant to stay in the code."""


class Stage(StrEnum):
    """How far a flag has come; `state` says how it stands there."""

    PLANNED = "planned"
    ROLLING_OUT = "rolling_out"
    COMPLETE = "complete"
    CLEANING_UP = "cleaning_up"
    RETIRED = "retired"


def stage(rollout: Rollout, now: datetime, *, cleanup_after: timedelta = CLEANUP_AFTER) -> Stage:
    """Return the stage: planned until production is reached, cleaning up once it was complete for so long."""
    if rollout.archived:
        return Stage.RETIRED
    if rollout.completed_at:
        # The switch stays in the code for as long as another environment needs it, or somebody holds the rollout.
        is_held = rollout.state is RolloutState.HELD
        lasts = is_held or rollout.plan.type in LASTING or rollout.plan.is_of_one_environment
        is_over = not lasts and now - rollout.completed_at >= cleanup_after
        return Stage.CLEANING_UP if is_over else Stage.COMPLETE
    has_begun = rollout.attempt > 1 or rollout.position > LOWEST
    is_open = not exposure_at(rollout.plan, rollout.position, rollout.plan.environment).empty
    return Stage.ROLLING_OUT if has_begun or is_open else Stage.PLANNED
