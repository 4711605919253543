"""Rollouts of one environment beside the flag's own: begun from it, given back to it, rolled back with it.

Whoever decides in an environment is a property of the flag's own rollout. So beginning and giving back make that one a
version newer: what was seen of it before, or is decided about it at the same moment, is refused as any old form is.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from datetime import datetime

from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.core.approval_paths import given_up
from control_plane.core.gates import GateResult, GateStatus, calendar_gate
from control_plane.core.phases import LOWEST, PRE_PRODUCTION, Rollout
from control_plane.core.plan_edits import gains
from control_plane.core.rollbacks import cool_down_ends, decide_rollback
from control_plane.core.transitions import (
    LOST_RACE,
    RETURN_GAINS_USERS,
    Action,
    Decision,
    Loss,
    Reason,
    Refusal,
    Transition,
    closed_reasons,
    needs_reason,
    stale,
)
from control_plane.rollout_names import environment_of, flag_of, rollout_title
from control_plane.rollouts import approval_store, approvals, losses, store
from control_plane.rollouts.deleted import COOL_DOWN_ENDS
from control_plane.rollouts.gate_registry import rearm_gates
from control_plane.rollouts.publication import apply, publish


def takeover_reasons(session: Session, made: Rollout, change: ChangeContext) -> list[Reason]:
    """Return what speaks against a new rollout of one environment: it takes that over from the flag's own."""
    whole, title = store.load(session, flag_of(made.flag)), rollout_title(made.flag)
    if whole is None:
        sentence = f"{flag_of(made.flag)} has no rollout yet. Plan that first: it decides wherever no other does."
        return [Reason("FLAG_NOT_PLANNED", sentence)]
    if whole.archived:
        return [Reason("ROLLOUT_ARCHIVED", f"{whole.flag} is archived; revive it first.")]
    # Else a plan that asks nobody would be a way around one that does.
    found = approvals.objections(session, whole, replace(whole, plan=made.plan, position=LOWEST), change)
    if whole.latched_in(made.plan.environment):
        sentence = f"{whole.flag} is rolled back in {made.plan.environment}; re-arm it before {title} takes over."
        found.append(Reason("ROLLED_BACK", sentence))
    if whole.held_in(made.plan.environment) and any(gains(whole, made)):
        found.append(Reason("FLAG_HELD", _held_sentence(whole, made.plan.environment)))
    if loss := losses.loss_between(session, whole, made, change.now):
        found.append(replace(loss, cause=f"Planning {title}").reason)
    return found


def renew_whole(session: Session, name: str) -> bool:
    """Make the flag's own rollout a version newer; False when somebody changed it at the same moment.

    Approvals of a change of its plan are for one change, and that was it.
    """
    whole = store.load(session, flag_of(name))
    approval_store.end_plan_approvals(session, flag_of(name))
    return whole is not None and store.compare_and_set(
        session, replace(whole, version=whole.version + 1), expected_version=whole.version
    )


def give_back(
    session: Session,
    name: str,
    change: ChangeContext,
    *,
    expected_version: int,
    confirm_losing: bool = False,
    confirm_gaining: bool = False,
) -> Decision:
    """Remove the rollout of one environment, so that the flag's own decides there again.

    Whoever loses or gains the flag by that is confirmed by name. A rollback is not undone by it: where it would be, its
    cool-down has to be over, and whoever approves the plan's steps approves it.
    """
    store.lock(session, flag_of(name))
    before, whole = store.load(session, name), store.load(session, flag_of(name))
    assert before is not None
    if whole is None:  # as after a restore: without it, everybody would lose the flag, and SDKs go by their code
        sentence = f"{flag_of(name)} has no rollout that could decide in {before.plan.environment} then; plan it first."
        return Refusal(Action.DELETE, (Reason("FLAG_NOT_PLANNED", sentence),))
    loss, gained = losses.loss_between(session, before, whole, change.now), list(gains(before, whole))
    reasons = [*stale(before, expected_version), *needs_reason(change.reason), *_return_reasons(before, whole)]
    if gained or any(given_up(before.plan, whole.plan)):
        reasons += _approval_reasons(session, before, change)
    reasons += _cool_down_reasons(before, change)
    if loss and not confirm_losing:
        reasons.append(replace(loss, cause=f"Without {rollout_title(name)}, {whole.flag} decides and").reason)
    if gained:
        if held := next((each for each in (before, whole) if each.held_in(before.plan.environment)), None):
            reasons.append(Reason("FLAG_HELD", _held_sentence(held, before.plan.environment)))
        reasons += _gain_reasons(session, (before, whole), gained, change, confirmed=confirm_gaining)
    if reasons:
        return Refusal(Action.DELETE, tuple(reasons))
    # First changed, then removed: whoever else changes either at this moment is refused or refuses this.
    after = replace(before, version=before.version + 1)
    if not store.compare_and_set(session, after, expected_version=before.version) or not renew_whole(session, name):
        return Refusal(Action.DELETE, (LOST_RACE,))
    store.delete(session, name)
    publish(session, Action.DELETE, before, after, replace(change, evidence=_evidence(before, loss, gained)))
    return Transition(Action.DELETE, before, after, change.reason)


def rearm_reasons(session: Session, rollout: Rollout) -> list[Reason]:
    """Return what of the flag's own rollout keeps one of its environments from a new attempt."""
    if environment_of(rollout.flag) is None:
        return []
    # Whoever rolls the flag back at this moment is waited for, or waits.
    store.lock(session, flag_of(rollout.flag))
    whole, environment = store.load(session, flag_of(rollout.flag)), rollout.plan.environment
    if whole is not None and whole.latched_in(environment):
        return [Reason("ROLLED_BACK", f"{whole.flag} is rolled back in {environment} too; re-arm that first.")]
    if whole is not None and whole.held_in(environment):
        return [Reason("FLAG_HELD", _held_sentence(whole, environment))]
    return []


def hold_gates(session: Session, rollout: Rollout) -> Iterator[GateResult]:
    """Close an advance of one environment while the flag is held there."""
    environment = environment_of(rollout.flag)
    whole = store.load(session, flag_of(rollout.flag)) if environment else None
    if whole is not None and whole.held_in(rollout.plan.environment):
        reason, evidence = _held_sentence(whole, rollout.plan.environment), {"held": whole.state_reason}
        yield GateResult("flag_hold", GateStatus.CLOSED, reason, evidence)


def locked_for_rollback(session: Session, flag: str, *, in_all: bool) -> list[Rollout]:
    """Return what is rolled back with `flag` in single environments; development and staging only with `in_all`.

    Nobody else changes those until the transaction ends. They are locked before anything is published: whoever
    publishes waits for all who did, so a lock that is taken after it could be waited for in a circle.
    """
    return locked(session, flag, but=() if in_all else PRE_PRODUCTION)


def roll_back_all(session: Session, rollouts: Iterable[Rollout], change: ChangeContext) -> None:
    """Roll back these rollouts of single environments."""
    for rollout in rollouts:
        apply(session, decide_rollback(rollout, now=change.now, reason=change.reason), change)


def locked(session: Session, flag: str, *, but: Collection[str] = ()) -> list[Rollout]:
    """Return the rollouts of single environments of `flag`, kept from everybody else until the transaction ends."""
    names = [each for each in _names(session, flag) if environment_of(each) not in but]
    for name in names:
        store.lock(session, name)
    return [found for name in names if (found := store.load(session, name))]


def _names(session: Session, flag: str) -> list[str]:
    return [] if environment_of(flag) else [each.flag for each in store.of_single_environments(session, flag)]


def _held_sentence(held: Rollout, environment: str) -> str:
    sentence = f"{rollout_title(held.flag)} is held, so nobody gains the flag in {environment}: {held.state_reason}"
    return f"{sentence} Resume it first."


def _return_reasons(before: Rollout, whole: Rollout) -> Iterator[Reason]:
    if before.archived or whole.archived:
        yield Reason("ARCHIVED", f"{whole.flag} is archived with all its environments; delete it as a whole.")


def _cool_down_reasons(before: Rollout, change: ChangeContext) -> Iterator[Reason]:
    """Refuse a return of what was rolled back of late, even if nobody gains by it now: an advance would follow it."""
    if before.latched and change.now < (ends := cool_down_ends(before)):
        sentence = f"{rollout_title(before.flag)} is rolled back, and its cool-down lasts until"
        yield Reason("COOL_DOWN", f"{sentence} {ends:%Y-%m-%d %H:%M} UTC.")


def _gain_reasons(
    session: Session, returned: tuple[Rollout, Rollout], gained: list[str], change: ChangeContext, *, confirmed: bool
) -> Iterator[Reason]:
    before, whole = returned
    yield from closed_reasons(_return_gates(session, before, whole, change.now))
    if not confirmed:
        sentence = f"Without {rollout_title(before.flag)}, users gain the flag: {' '.join(gained)}"
        yield Reason(RETURN_GAINS_USERS, f"{sentence} Confirm that users gain it if you want that.")


def _return_gates(session: Session, before: Rollout, whole: Rollout, now: datetime) -> Iterator[GateResult]:
    """Yield the gates of a return that lets users in: of a new attempt after a rollback, and the calendar it meets."""
    if before.latched:
        yield from rearm_gates(session, before, now)
    if calendar := whole.phase.gates.calendar:
        yield calendar_gate(calendar, now)


def _approval_reasons(session: Session, before: Rollout, change: ChangeContext) -> Iterator[Reason]:
    found = approvals.gate_of_plan(session, before, change)
    if found is not None and found.status is not GateStatus.OPEN:
        sentence = "Its plan takes approvals, and so does what would give them up or lets users in."
        yield Reason("APPROVAL_REQUIRED", f"{sentence} {found.reason}")


def _evidence(before: Rollout, loss: Loss | None, gained: list[str]) -> dict[str, object]:
    return {
        **({"confirmed_losing": loss.documented} if loss else {}),
        **({"confirmed_gaining": gained} if gained else {}),
        **({COOL_DOWN_ENDS: cool_down_ends(before).isoformat()} if before.latched else {}),
    }
