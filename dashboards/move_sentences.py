"""When a plan takes its next step by itself, in the language of the page and by its reader's clock. Pure."""

from collections.abc import Sequence

from control_plane.core.gates import GateResult, GateStatus
from control_plane.core.moves import NextMove
from control_plane.core.phase_gates import Schedule
from control_plane.core.phases import Rollout
from dashboards.filters import moment
from dashboards.language import gettext


def move_sentence(rollout: Rollout, move: NextMove, gates: Sequence[GateResult]) -> str:
    """Say when the running rollout moves; `move` is what its plan wants, and the plan leaves it to no person."""
    if move.is_due:
        return gettext("Every gate is open, so the plan takes it within seconds.")
    schedule = rollout.phase.advance
    if isinstance(schedule, Schedule):
        to_come = [instant for instant in schedule.instants() if instant > rollout.entered_at]
        if not to_come:
            return gettext("Every time that the plan has for it was over when the last one was taken: take it by hand.")
        if move.at == to_come[0]:
            at = moment(to_come[0])
            return gettext("The plan takes it at %(at)s, or as soon after that as every gate is open.", at=at)
    opens = gettext("The plan takes it as soon as every gate is open.")
    unknown = any(gate.status is GateStatus.UNKNOWN for gate in gates)
    if unknown and rollout.phase.unknown_may_be_approved:
        passed = gettext("Those that can't tell are passed once somebody approves the step.")
        return f"{opens} {passed}"
    return opens
