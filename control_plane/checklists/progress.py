"""How the checklists of a rollout stand: read from what people signed and what the leader found."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from control_plane.checklists import store
from control_plane.checklists.store import SignatureKey
from control_plane.core.checklist import (
    Checklist,
    ChecklistState,
    Signature,
    StoredResult,
    checklists_of_phase,
    due_times,
    item_state,
)
from control_plane.core.phases import Rollout


@dataclass(frozen=True, slots=True)
class Progress:
    """What is known of every checklist of one rollout at one moment."""

    rollout: Rollout
    signatures: Mapping[SignatureKey, Signature]
    results: Mapping[str, StoredResult]
    now: datetime

    @property
    def all(self) -> tuple[ChecklistState, ...]:
        """Every checklist in the order of the plan: by phase, then what follows the rollout."""
        plan = self.rollout.plan
        phases = (state for phase in plan.phases for state in self.in_phase(phase.name))
        return (*phases, *(self._state(each, "") for each in plan.checklists if each.after_complete is not None))

    def is_current(self, state: ChecklistState) -> bool:
        """Return whether this checklist is the one to work on now."""
        return not state.phase if self.rollout.completed_at else state.phase == self.rollout.phase.name

    def in_phase(self, phase: str) -> tuple[ChecklistState, ...]:
        """Return the checklists that have to be done before `phase` is left."""
        return tuple(self._state(each, phase) for each in checklists_of_phase(self.rollout.plan.checklists, phase))

    def _state(self, checklist: Checklist, phase: str) -> ChecklistState:
        items = tuple(
            item_state(
                item,
                self.signatures.get(signature_key(self.rollout, checklist, phase, item.name)),
                self.results.get(item.check),
                self.now,
            )
            for item in checklist.items
        )
        due = due_times(self.rollout.plan.checklists, self.rollout.completed_at)
        return ChecklistState(checklist, phase, items, due.get(checklist.name))


def read(session: Session, rollout: Rollout, now: datetime) -> Progress:
    """Return how every checklist of `rollout` stands."""
    signatures = store.signatures(session, rollout.flag, attempt=rollout.attempt)
    return Progress(rollout, signatures, store.results(session, rollout.flag), now)


def signature_key(rollout: Rollout, checklist: Checklist, phase: str, item: str) -> SignatureKey:
    """Return under which key a signature of `item` is kept; one that holds for all attempts and phases is kept once."""
    if checklist.once:
        return SignatureKey(0, "", checklist.name, item)
    return SignatureKey(rollout.attempt, phase, checklist.name, item)
