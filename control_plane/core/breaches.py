"""What the guard does about a breach: one step down first where the plan says so, else legacy for everybody. Pure."""

from dataclasses import replace
from datetime import datetime

from control_plane.core.phase_gates import OnBreach
from control_plane.core.phases import Rollout, RolloutState, position_below
from control_plane.core.rollbacks import COOL_DOWN_MINIMUM, decide_rollback
from control_plane.core.transitions import Action, Decision, transition


def may_step_back(rollout: Rollout, now: datetime) -> bool:
    """Return whether the guard may go one step down first: the plan says so, and it did not within one soak time."""
    if rollout.phase.on_breach is not OnBreach.STEP_BACK or rollout.latched:
        return False
    last, pause = rollout.stepped_back_at, max(rollout.phase.soak, COOL_DOWN_MINIMUM)
    return position_below(rollout.plan, rollout.position) is not None and (last is None or now - last >= pause)


def decide_breach(rollout: Rollout, *, now: datetime, reason: str, attempt: int, is_candidates: bool) -> Decision:
    """Go one step down and hold where the plan says so and the breach is the candidate's; else latch legacy.

    A step back begins a new attempt: what was shown of the step that failed is no evidence about the one below. So a
    second breach is one that happened there, and within one soak time it latches.
    """
    previous = position_below(rollout.plan, rollout.position)
    if not is_candidates or previous is None or attempt != rollout.attempt or not may_step_back(rollout, now):
        return decide_rollback(rollout, now=now, reason=reason, attempt=attempt)
    moved = transition(Action.STEP_BACK, rollout, reason, now=now, position=previous, state=RolloutState.HELD)
    after = replace(moved.after, attempt=rollout.attempt + 1, stepped_back_at=now)
    return replace(moved, after=after)
