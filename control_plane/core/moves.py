"""The next move of a rollout by its plan alone: a function of what is stored, of the gates, and of now. Pure.

An instant of a schedule counts only after the step was entered. So a move makes void every instant that lies before it,
and several that are overdue make one move, whoever acts and however often it is asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from control_plane.core.gates import GateResult, GateStatus
from control_plane.core.phase_gates import AdvanceMode, Schedule
from control_plane.core.phases import Rollout, RolloutState

CLOCKS_APART_MAX = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class NextMove:
    """Whether the rollout is to advance now, when it could at the earliest where that is known, and why."""

    sentence: str
    at: datetime | None = None
    is_due: bool = False


def next_move(
    rollout: Rollout,
    gates: Sequence[GateResult],
    *,
    now: datetime,
    clocks_apart: timedelta = timedelta(0),
    is_approved: bool = False,
) -> NextMove:
    """Say what the plan wants now. Nothing that is held, not open or in doubt about the time ever moves.

    With `is_approved` a named person passes the gates that can't tell, where the plan allows that.
    """
    schedule = rollout.phase.advance
    if schedule is AdvanceMode.BY_HAND:
        return NextMove("A person advances it; the plan has no date for that.")
    if rollout.state is not RolloutState.RUNNING:
        return NextMove(f"It is {rollout.state.replace('_', ' ')}, so nothing moves by itself.")
    if abs(clocks_apart) > CLOCKS_APART_MAX:
        seconds = abs(clocks_apart).total_seconds()
        sentence = f"The clocks of this host and of the database are {seconds:,.0f} seconds apart, so nothing moves."
        return NextMove(f"{sentence} Set them right.")
    if isinstance(schedule, Schedule) and (waiting := _waits_for_time(rollout, schedule, now)):
        return waiting
    passes_unknown = is_approved and rollout.phase.unknown_may_be_approved
    if shut := [gate for gate in gates if not _lets_pass(gate, passes_unknown=passes_unknown)]:
        names = ", ".join(f"{gate.name} ({gate.status})" for gate in shut)
        sentence = f"It moves by itself as soon as every gate is open; not yet open: {names}."
        if rollout.phase.unknown_may_be_approved and any(gate.status is GateStatus.UNKNOWN for gate in shut):
            sentence += " Those that can't tell are passed once somebody approves the step."
        return NextMove(sentence, _opens_at(shut))
    return NextMove("Every gate is open, and the plan says to move.", now, is_due=True)


def _waits_for_time(rollout: Rollout, schedule: Schedule, now: datetime) -> NextMove | None:
    counting = [instant for instant in schedule.instants() if instant > rollout.entered_at]
    if not counting:
        sentence = "Every time of its schedule was over when the step began; advance it by hand or plan another time."
        return NextMove(sentence)
    if counting[0] > now:
        sentence = f"It moves at {counting[0]:%Y-%m-%d %H:%M} UTC, or as soon after that as every gate is open."
        return NextMove(sentence, counting[0])
    return None


def _lets_pass(gate: GateResult, *, passes_unknown: bool) -> bool:
    return gate.status is GateStatus.OPEN or (passes_unknown and gate.status is GateStatus.UNKNOWN)


def _opens_at(shut: Sequence[GateResult]) -> datetime | None:
    """Return when the last of these opens, where each of them says when."""
    known = [gate.opens_at for gate in shut if gate.opens_at]
    return max(known) if len(known) == len(shut) else None
