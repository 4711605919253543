"""Transitions into the latch and out of it: a breach, a rollback, a restore and a new attempt. Pure."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from control_plane.core.gates import GateResult
from control_plane.core.phase_gates import OnBreach
from control_plane.core.phases import LOWEST, Rollout, RolloutState, position_below
from control_plane.core.transitions import (
    Action,
    Decision,
    Reason,
    Refusal,
    Transition,
    closed_reasons,
    needs_reason,
    stale,
    transition,
)

COOL_DOWN_MINIMUM = timedelta(minutes=30)
COOL_DOWN_BASE = timedelta(minutes=15)
COOL_DOWN_MAXIMUM = timedelta(days=7)


def may_step_back(rollout: Rollout, now: datetime) -> bool:
    """Return whether the guard may go one step down first: the plan says so, and it did not within one soak time."""
    if rollout.phase.on_breach is not OnBreach.STEP_BACK or rollout.latched:
        return False
    last, pause = rollout.stepped_back_at, max(rollout.phase.soak, COOL_DOWN_MINIMUM)
    return position_below(rollout.plan, rollout.position) is not None and (last is None or now - last >= pause)


def decide_breach(rollout: Rollout, *, now: datetime, reason: str, attempt: int, is_candidates: bool) -> Decision:
    """Go one step down and hold where the plan says so and the breach is the candidate's; else latch the control.

    A step back begins a new attempt: what was shown of the step that failed is no evidence about the one below. So a
    second breach is one that happened there, and within one soak time it latches.
    """
    previous = position_below(rollout.plan, rollout.position)
    if not is_candidates or previous is None or attempt != rollout.attempt or not may_step_back(rollout, now):
        return decide_rollback(rollout, now=now, reason=reason, attempt=attempt)
    moved = transition(Action.STEP_BACK, rollout, reason, now=now, position=previous, state=RolloutState.HELD)
    after = replace(moved.after, attempt=rollout.attempt + 1, stepped_back_at=now)
    return replace(moved, after=after)


def decide_rollback(
    rollout: Rollout, *, now: datetime, reason: str, attempt: int | None = None, in_all: bool = False
) -> Decision:
    """Latch the control for everybody: `in_all` environments, else not in development and staging.

    A verdict on an earlier `attempt` changes nothing. A narrow latch may be widened, never the other way round.
    """
    reasons, in_all = needs_reason(reason), in_all or rollout.plan.is_of_one_environment
    if rollout.latched and (rollout.latches_all or not in_all):
        reasons.append(Reason("ALREADY_ROLLED_BACK", f"The rollout is rolled back already: {rollout.state_reason}"))
    # The guard judged counts of one attempt. If somebody re-armed since, that evidence says nothing about the new
    # attempt.
    if attempt is not None and attempt != rollout.attempt:
        reasons.append(
            Reason(
                "OTHER_ATTEMPT",
                f"The cause belongs to attempt {attempt}; attempt {rollout.attempt} runs now.",
            )
        )
    if reasons:
        return Refusal(Action.ROLL_BACK, tuple(reasons))
    if rollout.latched:
        # Production's rollback stays what it was: why, since when, and until when it cools down.
        return Transition(
            Action.ROLL_BACK, rollout, replace(rollout, version=rollout.version + 1, latches_all=True), reason
        )
    latched = transition(Action.ROLL_BACK, rollout, reason, now=now, state=RolloutState.ROLLED_BACK)
    return replace(latched, after=replace(latched.after, latches_all=in_all))


def decide_restore(rollout: Rollout, replaced: Rollout | None, *, now: datetime, reason: str) -> Transition:
    """Decide the latch after a restore.

    The attempt is a new one, without evidence of earlier ones. `replaced` is the rollout in the database given up.
    """
    before = replaced or rollout
    after = replace(
        rollout,
        # Beyond both databases, so that no form opened before the restore passes the compare-and-set after it.
        version=max(rollout.version, before.version) + 1,
        attempt=max(rollout.attempt, before.attempt) + 1,
        state=RolloutState.ROLLED_BACK,
        state_changed_at=now,
        state_reason=f"{reason} It was rolled back before: {before.state_reason}" if before.latched else reason,
        held_by_guard=False,
        latches_all=True,
        completed_at=None,
    )
    return Transition(Action.ROLL_BACK, rollout, after, after.state_reason)


def decide_rearm(
    rollout: Rollout, gates: Iterable[GateResult], *, now: datetime, expected_version: int, reason: str
) -> Decision:
    """Decide a new attempt at the lowest step, after the cool-down and with no closed gate among `gates`."""
    reasons = stale(rollout, expected_version) + needs_reason(reason)
    if rollout.archived:
        reasons.append(Reason("ARCHIVED", f"{rollout.flag} is archived; revive it first."))
    if not rollout.latched:
        reasons.append(Reason("NOT_ROLLED_BACK", f"The rollout is {rollout.state}, not rolled back."))
    elif now < (ends := cool_down_ends(rollout)):
        reasons.append(Reason("COOL_DOWN", f"The cool-down lasts until {ends:%Y-%m-%d %H:%M} UTC."))
    reasons += closed_reasons(gates)
    if reasons:
        return Refusal(Action.REARM, tuple(reasons))
    return transition(Action.REARM, rollout, reason, now=now, state=RolloutState.RUNNING, position=LOWEST)


def cool_down_ends(rollout: Rollout) -> datetime:
    """Return when a rolled back attempt may be re-armed: 30 minutes, doubling with each attempt, a week at most."""
    # The exponent is capped far beyond the maximum: a timedelta would overflow one day.
    doubled: timedelta = COOL_DOWN_BASE * 2 ** min(rollout.attempt, 16)
    return rollout.state_changed_at + min(max(COOL_DOWN_MINIMUM, doubled), COOL_DOWN_MAXIMUM)
