"""Flags at the end of their life: archived, which is off everywhere and out of every SDK, revived, deleted."""

from dataclasses import replace

from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.core.gates import GateStatus
from control_plane.core.phases import Rollout, RolloutState
from control_plane.core.transitions import (
    LOSES_USERS,
    Action,
    Decision,
    Reason,
    Refusal,
    Transition,
    cool_down_ends,
    needs_reason,
    stale,
)
from control_plane.platform.auth import audit
from control_plane.rollouts import approvals, service, store
from control_plane.rollouts.deleted import COOL_DOWN_ENDS
from control_plane.rollouts.publication import apply, publish

ENDED = (RolloutState.COMPLETE, RolloutState.ROLLED_BACK)


def archive(
    session: Session, flag: str, change: ChangeContext, *, expected_version: int, confirm_losing: bool = False
) -> Decision:
    """Take the flag from everybody and out of every SDK. Its rollout has to be complete or rolled back first."""
    before = service.find(session, flag)
    reasons = _common(before, change, expected_version)
    if before.archived:
        reasons.append(Reason("ARCHIVED", f"{flag} is archived already."))
    elif before.state not in ENDED:
        reasons.append(Reason("NOT_ENDED", f"The rollout is {before.state}; complete it or roll it back first."))
    elif before.state is RolloutState.COMPLETE and not confirm_losing:
        sentence = f"Everybody whom the plan of {flag} reaches has it, and would lose it. Confirm that you want that."
        reasons.append(Reason(LOSES_USERS, sentence))
    if reasons:
        return Refusal(Action.ARCHIVE, tuple(reasons))
    # Latched as well: whatever knows nothing of archives still answers that it is off.
    after = replace(
        before,
        version=before.version + 1,
        state=RolloutState.ROLLED_BACK,
        # The cool-down of a rollback counts on: archiving neither ends nor prolongs it.
        state_changed_at=before.state_changed_at if before.latched else change.now,
        state_reason=f"Archived: {change.reason.strip()}",
        archived_at=change.now,
        held_by_guard=False,
        latches_all=True,
    )
    return apply(session, Transition(Action.ARCHIVE, before, after, change.reason), change)


def revive(session: Session, flag: str, change: ChangeContext, *, expected_version: int) -> Decision:
    """Give the flag back to SDKs, off; it is armed again like any other that was rolled back."""
    before = service.find(session, flag)
    reasons = [*_common(before, change, expected_version), *_not_archived(before)]
    if reasons:
        return Refusal(Action.REVIVE, tuple(reasons))
    after = replace(before, version=before.version + 1, archived_at=None)
    return apply(session, Transition(Action.REVIVE, before, after, change.reason), change)


def delete(session: Session, flag: str, change: ChangeContext, *, expected_version: int) -> Decision:
    """Remove an archived flag with its plans, so that its name is free; the audit trail keeps what it was.

    A free name takes any plan. So one that was rolled back takes the approvals of its plan, and its cool-down goes on.
    """
    before = service.find(session, flag)
    reasons = [*_common(before, change, expected_version), *_not_archived(before)]
    was_complete = _was_complete(session, flag)
    if not reasons and not was_complete:
        reasons = _unapproved(session, before, change)
    if reasons:
        return Refusal(Action.DELETE, tuple(reasons))
    # First changed, then removed: whoever else changes it at this moment is refused or refuses this.
    after = replace(before, version=before.version + 1)
    if not store.compare_and_set(session, after, expected_version=before.version):
        lost = Reason("VERSION_CONFLICT", "Somebody else changed the rollout at the same moment; look again.")
        return Refusal(Action.DELETE, (lost,))
    store.delete(session, flag)
    evidence = {} if was_complete else {COOL_DOWN_ENDS: cool_down_ends(before).isoformat()}
    publish(session, Action.DELETE, before, after, replace(change, evidence=evidence))
    return Transition(Action.DELETE, before, after, change.reason)


def _common(rollout: Rollout, change: ChangeContext, expected_version: int) -> list[Reason]:
    return [*stale(rollout, expected_version), *needs_reason(change.reason)]


def _was_complete(session: Session, flag: str) -> bool:
    """Return whether it was complete when it was archived last: everybody had it then, by every gate of its plan."""
    entries = audit.latest(session, subject=f"rollout:{flag}", action=f"rollout.{Action.ARCHIVE}", limit=1)
    return any(entry.before and entry.before["state"] == RolloutState.COMPLETE for entry in entries)


def _unapproved(session: Session, rollout: Rollout, change: ChangeContext) -> list[Reason]:
    found = approvals.gate_of_plan(session, rollout, change.actor)
    if found is None or found.status is GateStatus.OPEN:
        return []
    sentence = (
        "Another plan under its name could ask for fewer approvals, so deleting it takes as many as the plan does."
    )
    return [Reason("APPROVAL_REQUIRED", f"{sentence} {found.reason}")]


def _not_archived(rollout: Rollout) -> list[Reason]:
    if rollout.archived:
        return []
    return [Reason("NOT_ARCHIVED", f"{rollout.flag} is not archived; archive it first.")]
