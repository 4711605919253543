"""The gate of the checklists: what has to be done before a phase is left. It reads, and looks at nothing itself."""

from datetime import datetime

from sqlalchemy.orm import Session

from control_plane.checklists import progress
from control_plane.core.checklist import ChecklistState, ItemState, ItemStatus
from control_plane.core.gates import GateResult, GateStatus
from control_plane.core.phases import Rollout

GATE = "checklists"
NAMED = 3


def gate(session: Session, rollout: Rollout, now: datetime) -> GateResult:
    """Close while a check fails; unknown while an item waits for a person, or for a check that can't tell."""
    if not rollout.plan.checklists:
        return GateResult(GATE, GateStatus.OPEN, "The plan has no checklists.")
    found = progress.read(session, rollout, now).in_phase(rollout.phase.name)
    evidence = {state.checklist.name: f"{state.ticked} of {len(state.items)}" for state in found}
    if rollout.position.step + 1 < len(rollout.phase.steps):
        return GateResult(GATE, GateStatus.OPEN, "The checklists are asked for at the end of the phase.", evidence)
    failing, waiting = _of(found, ItemStatus.FAILING), _of(found, ItemStatus.OPEN, ItemStatus.UNKNOWN)
    if failing:
        sentences = " ".join(f"{each.item.title}: {each.sentence}" for each in failing[:NAMED])
        return GateResult(GATE, GateStatus.CLOSED, f"{_count(failing)} not true: {sentences}", evidence)
    if waiting:
        titles = "; ".join(each.item.title for each in waiting[:NAMED])
        more = f"; and {len(waiting) - NAMED} more" if len(waiting) > NAMED else ""
        return GateResult(GATE, GateStatus.UNKNOWN, f"{_count(waiting)} not ticked: {titles}{more}.", evidence)
    return GateResult(GATE, GateStatus.OPEN, "Every item of the checklists is ticked.", evidence)


def _of(found: tuple[ChecklistState, ...], *statuses: ItemStatus) -> list[ItemState]:
    return [item for state in found for item in state.of(*statuses)]


def _count(items: list[ItemState]) -> str:
    return "1 item is" if len(items) == 1 else f"{len(items)} items are"
