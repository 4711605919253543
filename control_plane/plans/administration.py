"""The use cases of a plan: edit it, restore an earlier one. Each in the caller's transaction, audited and announced."""

from dataclasses import asdict, replace
from functools import partial

from sqlalchemy.orm import Session

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.phases import Plan, Rollout, new_rollout
from control_plane.core.plan_edits import decide_edit, overdue_times, with_plan
from control_plane.core.plan_errors import plan_errors
from control_plane.core.transitions import Action, Decision, Reason, Refusal, Transition, stale
from control_plane.plans import document
from control_plane.plans.previews import PlanPreview
from control_plane.platform.problems import Problem
from control_plane.rollout_names import environment_of, name_errors
from control_plane.rollouts import approvals, environments, losses, store
from control_plane.rollouts.publication import apply
from control_plane.rollouts.segments import segments
from control_plane.rollouts.store import PlanVersion


def read_text(session: Session, rollout: str, text: str) -> tuple[str, Plan]:
    """Return the rollout that is meant and the plan that was written for it, in YAML. Raises InvalidPlan.

    What it names of segments is what these are in the database now.
    """
    return document.of_rollout(rollout, document.parse(text, rollout, partial(segments, session)).plan)


def read_value(session: Session, rollout: str, value: object) -> tuple[str, Plan]:
    """Return the same of a plan in JSON. Raises InvalidPlan."""
    return document.of_rollout(rollout, document.from_value(value, rollout, partial(segments, session)).plan)


def edit(
    session: Session,
    flag: str,
    plan: Plan,
    change: ChangeContext,
    *,
    expected_version: int,
    confirm_losing: bool = False,
) -> Decision:
    """Put `plan` in the place of the plan of `flag`; nobody is exposed by that. The same plan again changes nothing."""
    before = rollouts.find(session, flag)
    # Before anything else: the proofs about a large plan take a while, and whoever writes waits for this transaction.
    if outdated := tuple(stale(before, expected_version)):
        return Refusal(Action.EDIT_PLAN, outdated)
    if plan == before.plan:
        return _unchanged(before, change)
    decision, evidence = propose(
        session, before, plan, change, expected_version=expected_version, confirm_losing=confirm_losing
    )
    decision = apply(session, decision, replace(change, evidence=evidence))
    if isinstance(decision, Transition):
        store.add_plan_version(session, decision.after, change)
    return decision


def propose(
    session: Session,
    before: Rollout,
    plan: Plan,
    change: ChangeContext,
    *,
    expected_version: int,
    confirm_losing: bool,
) -> tuple[Decision, dict[str, object]]:
    """Decide on an edit without making it; returns what the audit trail keeps of it, too."""
    if mistakes := plan_errors(plan):
        reasons = (Reason("PLAN_INVALID", sentence) for sentence in mistakes)
        return Refusal(Action.EDIT_PLAN, (*stale(before, expected_version), *reasons)), {}
    after = with_plan(before, plan, now=change.now)
    loss = losses.loss_between(session, before, after, change.now)
    weaker = approvals.objections(session, before, after, change)
    overdue = overdue_times(before, after, change.now)
    found = [*rollouts.plan_objections(session, before.flag, plan), *weaker, *overdue]
    objections, evidence = losses.split_confirmed(found, confirm_losing=confirm_losing)
    if loss and confirm_losing:
        evidence = {"confirmed_losing": {**loss.documented, "actor": change.actor, **evidence}}
    decision = decide_edit(
        before,
        after,
        objections,
        expected_version=expected_version,
        reason=change.reason,
        unconfirmed=None if confirm_losing or not loss else replace(loss, cause="The edit"),
    )
    return decision, evidence | {"plan_version": after.plan_version, "diff": document.diff(before.plan, plan)}


def refusals(session: Session, flag: str, plan: Plan, change: ChangeContext) -> tuple[Reason, ...]:
    """Return why the plan would be refused for `flag` now, confirmations aside; empty where it would be taken."""
    before = store.load(session, flag)
    if before is None:
        names = [Reason("INVALID_FLAG_NAME", sentence) for sentence in name_errors(flag)]
        found = [*names, *rollouts.plan_objections(session, flag, plan)]
        made = new_rollout(flag, plan, now=change.now, reason=change.reason)
        if environment_of(flag) and not found:
            found += environments.takeover_reasons(session, made, change)
        return (*found, *rollouts.reuse_reasons(session, made, change.now))
    decision, _ = propose(session, before, plan, change, expected_version=before.version, confirm_losing=False)
    return decision.reasons if isinstance(decision, Refusal) else ()


def preview_document(
    flag: str, before: Rollout | None, plan: Plan, found: PlanPreview, refused: tuple[Reason, ...]
) -> dict[str, object]:
    """Return a preview as JSON."""
    return {
        "flag": flag,
        "exists": before is not None,
        "stands_at": {"phase": found.after.phase.name, "percentage": found.after.percentage},
        "now": [asdict(each) for each in found.now],
        "complete": [asdict(each) for each in found.complete],
        "diff": document.diff(before.plan if before else None, plan),
        "refusals": [asdict(reason) for reason in refused],
    }


def restore(
    session: Session,
    flag: str,
    number: int,
    change: ChangeContext,
    *,
    expected_version: int,
    confirm_losing: bool = False,
) -> Decision:
    """Make an earlier plan the plan again, as an edit like any other. Raises Problem where there is none."""
    plan = version(session, flag, number).plan
    return edit(session, flag, plan, change, expected_version=expected_version, confirm_losing=confirm_losing)


def version(session: Session, flag: str, number: int) -> PlanVersion:
    """Return an earlier plan; raises Problem."""
    rollouts.find(session, flag)
    found = store.plan_version(session, flag, number)
    if found is None:
        raise Problem(404, "PLAN_VERSION_NOT_FOUND", f"The plan of {flag} has no version {number}.")
    return found


def _unchanged(before: Rollout, change: ChangeContext) -> Transition:
    return Transition(Action.EDIT_PLAN, before, before, change.reason)
