"""Flags at the end of their life: archived, which is off everywhere and out of every SDK, revived, deleted."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.core.gates import GateStatus
from control_plane.core.latch import environments_on
from control_plane.core.phases import Rollout, RolloutState
from control_plane.core.rollbacks import cool_down_ends
from control_plane.core.transitions import (
    LOSES_USERS,
    LOST_RACE,
    Action,
    Decision,
    Reason,
    Refusal,
    Transition,
    needs_reason,
    stale,
)
from control_plane.platform.auth import audit
from control_plane.rollout_names import environment_of, flag_of, rollout_title
from control_plane.rollouts import approvals, environments, service, store
from control_plane.rollouts.deleted import COOL_DOWN_ENDS
from control_plane.rollouts.publication import apply, publish

ENDED = (RolloutState.COMPLETE, RolloutState.ROLLED_BACK)


def places_ended(session: Session, flag: str) -> Sequence[str]:
    """Return the environments in which rollouts of their own end with that of `flag`."""
    if environment_of(flag):
        return ()
    return [each.plan.environment for each in store.of_single_environments(session, flag)]


def archive(
    session: Session, flag: str, change: ChangeContext, *, expected_version: int, confirm_losing: bool = False
) -> Decision:
    """Take the flag from everybody and out of every SDK. Its rollout has to be complete or rolled back first.

    The rollouts of its environments go with it, however far they are.
    """
    store.lock(session, flag)
    before, others = service.find(session, flag), environments.locked(session, flag)
    reasons = [*_common(before, change, expected_version), *_of_one_environment(before)]
    if before.archived:
        reasons.append(Reason("ARCHIVED", f"{flag} is archived already."))
    elif before.completed_at and before.state not in ENDED:
        reasons.append(Reason("NOT_ENDED", "The rollout is complete, and held; resume it first."))
    elif before.state not in ENDED:
        reasons.append(Reason("NOT_ENDED", f"The rollout is {before.state}; complete it or roll it back first."))
    elif before.state is RolloutState.COMPLETE and not confirm_losing:
        sentence = f"Everybody whom the plan of {flag} reaches has it, and would lose it. Confirm that you want that."
        reasons.append(Reason(LOSES_USERS, sentence))
    elif not confirm_losing and (places := environments_on(before)):
        sentence = f"{flag} is still on in {' and '.join(places)}, which would lose it. Confirm that you want that."
        reasons.append(Reason(LOSES_USERS, sentence))
    if not confirm_losing and (exposing := [each for each in others if not each.latched]):
        names = ", ".join(rollout_title(each.flag) for each in exposing)
        reasons.append(Reason(LOSES_USERS, f"{names} would end with it. Confirm that you want that."))
    if reasons:
        return Refusal(Action.ARCHIVE, tuple(reasons))
    return _apply_each(session, Action.ARCHIVE, [before, *others], _archived, change)


def _archived(rollout: Rollout, change: ChangeContext) -> Rollout:
    # Latched as well: whatever knows nothing of archives still answers that it is off.
    return replace(
        rollout,
        version=rollout.version + 1,
        state=RolloutState.ROLLED_BACK,
        # The cool-down of a rollback counts on: archiving neither ends nor prolongs it.
        state_changed_at=rollout.state_changed_at if rollout.latched else change.now,
        state_reason=f"Archived: {change.reason}",
        archived_at=change.now,
        held_by_guard=False,
        latches_all=True,
        completed_at=None,
    )


def revive(session: Session, flag: str, change: ChangeContext, *, expected_version: int) -> Decision:
    """Give the flag back to SDKs, off; it is armed again like any other that was rolled back."""
    store.lock(session, flag)
    before, others = service.find(session, flag), environments.locked(session, flag)
    reasons = [
        *_common(before, change, expected_version),
        *_not_archived(before),
        *_of_one_environment(before),
    ]
    if reasons:
        return Refusal(Action.REVIVE, tuple(reasons))
    return _apply_each(session, Action.REVIVE, [before, *others], _revived, change)


def _revived(rollout: Rollout, _change: ChangeContext) -> Rollout:
    return replace(rollout, version=rollout.version + 1, archived_at=None)


def _apply_each(
    session: Session,
    action: Action,
    rollouts: Sequence[Rollout],
    changed: Callable[[Rollout, ChangeContext], Rollout],
    change: ChangeContext,
) -> Decision:
    """Change the flag's own rollout, and those of its environments once that was possible: they are locked."""
    first, *rest = (Transition(action, each, changed(each, change), change.reason) for each in rollouts)
    decision = apply(session, first, change)
    for each in rest if isinstance(decision, Transition) else ():
        apply(session, each, change)
    return decision


def delete(
    session: Session,
    flag: str,
    change: ChangeContext,
    *,
    expected_version: int,
    confirm_losing: bool = False,
    confirm_gaining: bool = False,
) -> Decision:
    """Remove an archived flag with its plans, so that its name is free; the audit trail keeps what it was.

    A free name takes any plan. So this takes the approvals of the plan, and the cool-down of a rollback goes on.
    The rollout of one environment is given back to the flag's own instead, which takes the confirmations.
    """
    before = service.find(session, flag)
    if environment_of(flag):
        return environments.give_back(
            session,
            flag,
            change,
            expected_version=expected_version,
            confirm_losing=confirm_losing,
            confirm_gaining=confirm_gaining,
        )
    store.lock(session, flag)
    others = environments.locked(session, flag)
    reasons = [*_common(before, change, expected_version), *_not_archived(before)]
    was_complete = _was_complete(session, flag)
    if not reasons:
        reasons = [reason for each in (before, *others) for reason in _unapproved(session, each, change)]
    if reasons:
        return Refusal(Action.DELETE, tuple(reasons))
    # First changed, then removed: whoever else changes it at this moment is refused or refuses this.
    after = replace(before, version=before.version + 1)
    if not store.compare_and_set(session, after, expected_version=before.version):
        return Refusal(Action.DELETE, (LOST_RACE,))
    _remove(session, before, after, change, {} if was_complete else {COOL_DOWN_ENDS: _cool_down(before)})
    for each in others:
        _remove(session, each, replace(each, version=each.version + 1), change, {COOL_DOWN_ENDS: _cool_down(each)})
    return Transition(Action.DELETE, before, after, change.reason)


def _remove(
    session: Session, before: Rollout, after: Rollout, change: ChangeContext, evidence: dict[str, object]
) -> None:
    store.delete(session, before.flag)
    publish(session, Action.DELETE, before, after, replace(change, evidence=evidence))


def _cool_down(rollout: Rollout) -> str:
    return cool_down_ends(rollout).isoformat()


def _of_one_environment(rollout: Rollout) -> list[Reason]:
    if not rollout.plan.is_of_one_environment:
        return []
    flag, environment = flag_of(rollout.flag), rollout.plan.environment
    sentence = f"Delete it, and {flag}'s own rollout decides in {environment} again; the flag is archived as a whole."
    return [Reason("NOT_OF_ONE_ENVIRONMENT", sentence)]


def _common(rollout: Rollout, change: ChangeContext, expected_version: int) -> list[Reason]:
    return [*stale(rollout, expected_version), *needs_reason(change.reason)]


def _was_complete(session: Session, flag: str) -> bool:
    """Return whether it was complete when it was archived last: no cool-down belongs to it."""
    entries = audit.latest(session, subject=f"rollout:{flag}", action=f"rollout.{Action.ARCHIVE}", limit=1)
    return any(entry.before and entry.before["state"] == RolloutState.COMPLETE for entry in entries)


def _unapproved(session: Session, rollout: Rollout, change: ChangeContext) -> list[Reason]:
    found = approvals.gate_of_plan(session, rollout, change)
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
