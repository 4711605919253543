"""An edit of the plan of a rollout that exists: where it stands afterwards, and that nobody is exposed by it. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from control_plane.audiences.exposure import Exposure
from control_plane.audiences.exposure_changes import changes_between
from control_plane.core.phase_gates import Schedule
from control_plane.core.phases import (
    LOWEST,
    Plan,
    Position,
    Rollout,
    RolloutState,
    environments_of,
    exposure,
    exposure_at,
    position_after,
    position_before,
    positions,
)
from control_plane.core.transitions import Action, Decision, Loss, Reason, Refusal, Transition, needs_reason, stale

PLAN_GAINS_USERS = "PLAN_GAINS_USERS"
TIME_OVER = "PLAN_TIME_OVER"


def with_plan(rollout: Rollout, plan: Plan, *, now: datetime) -> Rollout:
    """Return the rollout under `plan`, at the step that is the one it stands on, or the nearest below."""
    position = _position_under(rollout, plan)
    after = replace(rollout, plan=plan, position=position)
    is_same_step = (after.phase.name, after.percentage) == (rollout.phase.name, rollout.percentage)
    is_same_exposure = all(
        exposure_at(rollout.plan, rollout.position, each) == exposure_at(plan, position, each)
        for each in environments_of(rollout.plan, plan)
    )
    state, completed_at = rollout.state, rollout.completed_at
    is_same = is_same_step and is_same_exposure
    if completed_at and not (is_same and position_after(plan, position) is None):
        # There is something left to do, if only to soak; a hold stays a hold.
        completed_at = None
        state = RolloutState.RUNNING if state is RolloutState.COMPLETE else state
    return replace(
        after,
        version=rollout.version + 1,
        plan_version=rollout.plan_version + 1,
        state=state,
        state_changed_at=rollout.state_changed_at if state is rollout.state else now,
        completed_at=completed_at,
        # Another step, or other people in it, has not soaked yet.
        entered_at=rollout.entered_at if is_same else now,
    )


def gains(before: Rollout, after: Rollout) -> Iterator[str]:
    """Name everybody who would be exposed by the edit itself, without an advance."""
    for environment in environments_of(before.plan, after.plan):
        yield from _gains(before, after, environment, exposure(before, environment), exposure(after, environment))


def gains_by_rearming(before: Rollout, after: Rollout) -> Iterator[str]:
    """Name everybody whom re-arming would let in after the edit and not before it: it begins at the lowest step."""
    for environment in environments_of(before.plan, after.plan):
        lowest = (exposure_at(each.plan, LOWEST, environment) for each in (before, after))
        yield from _gains(before, after, environment, *lowest)


def _gains(before: Rollout, after: Rollout, environment: str, smaller: Exposure, larger: Exposure) -> Iterator[str]:
    changes = changes_between(
        smaller,
        larger,
        cutover_of_smaller=before.plan.new_signups_after,
        cutover_of_larger=after.plan.new_signups_after,
    )
    return (f"{environment}, {change.gained}" for change in changes)


def overdue_times(before: Rollout, after: Rollout, now: datetime) -> Iterator[Reason]:
    """Yield a reason for each time that the edit adds and that is over: the rollout would advance within seconds."""
    schedule, known = after.phase.advance, before.phase.advance
    if not isinstance(schedule, Schedule) or after.state not in (RolloutState.RUNNING, RolloutState.HELD):
        return
    planned = known.instants() if isinstance(known, Schedule) else ()
    for local, instant in zip(schedule.at, schedule.instants(), strict=True):
        if after.entered_at < instant <= now and instant not in planned:
            sentence = (
                f"{local:%d %B %Y %H:%M} is over in {schedule.zone}, and would advance the rollout at once. "
                "Leave that time out; whoever wants the step now advances by hand."
            )
            yield Reason(TIME_OVER, sentence)


def decide_edit(
    before: Rollout,
    after: Rollout,
    objections: Sequence[Reason],
    *,
    expected_version: int,
    reason: str,
    unconfirmed: Loss | None = None,
) -> Decision:
    """Return the edit, unless it exposes somebody, takes the flag from somebody unconfirmed, or can't be run."""
    reasons = [*stale(before, expected_version), *needs_reason(reason), *objections]
    if before.archived:
        reasons.append(Reason("ARCHIVED", f"{before.flag} is archived; revive it first."))
    if not objections and (gained := list(gains(before, after))):
        sentence = "The edit would let users in without an advance, so put that into a later step."
        reasons.append(Reason(PLAN_GAINS_USERS, f"{sentence} {' '.join(gained)}"))
    elif not objections and (gained := list(gains_by_rearming(before, after))):
        sentence = "A new attempt would begin with more users than now; keep the lowest step, and put that after it."
        reasons.append(Reason(PLAN_GAINS_USERS, f"{sentence} {' '.join(gained)}"))
    if unconfirmed:
        reasons.append(unconfirmed.reason)
    return Refusal(Action.EDIT_PLAN, tuple(reasons)) if reasons else Transition(Action.EDIT_PLAN, before, after, reason)


def _position_under(rollout: Rollout, plan: Plan) -> Position:
    """Find the phase by its name, and in it the highest step that is not above today's; else the highest safe step."""
    for index, phase in enumerate(plan.phases):
        if phase.name == rollout.phase.name:
            reached = [step for step, percentage in enumerate(phase.steps) if percentage <= rollout.percentage]
            lowest = Position(index, 0)
            return Position(index, reached[-1]) if reached else position_before(plan, lowest) or lowest
    return next((each for each in reversed(positions(plan)) if _is_safe(rollout, plan, each)), LOWEST)


def _is_safe(rollout: Rollout, plan: Plan, position: Position) -> bool:
    moved = replace(rollout, plan=plan, position=position)
    return not any(gains(rollout, moved))
