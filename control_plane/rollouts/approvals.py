"""Approvals by people other than those who want something: given, counted, and void once anything changes.

What is approved is the next step, or that the plan may ask for fewer approvals; the one is never taken for the other.
An approval holds for one plan and one entry into a step. Any move and any edit makes it void, without a trace to clean.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import chain

from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.core.approval_gate import (
    Approval,
    ApprovalSubject,
    Principal,
    approvals_gate,
    shared_access_sentence,
)
from control_plane.core.approval_paths import given_up, opened_with_fewer, strongest, weaker_phases
from control_plane.core.gates import GateResult, GateStatus
from control_plane.core.phase_gates import AdvanceMode, Approvals
from control_plane.core.phases import Rollout
from control_plane.core.transitions import Reason, stale
from control_plane.platform.auth import accounts, audit, tokens
from control_plane.platform.auth.access_changes import access_givers
from control_plane.platform.identity_types import PRODUCTION, Role, role_on
from control_plane.platform.problems import Problem, require_reason
from control_plane.platform.runtime import change_feed
from control_plane.platform.settings import current
from control_plane.rollout_names import environment_of, flag_of
from control_plane.rollouts import approval_store, store
from control_plane.rollouts.publication import TOPIC

OWNERS = Approvals()
"""Who may let a step that moves by itself pass gates that can't tell, where the plan asks for nobody else."""


def approve(
    session: Session,
    rollout: Rollout,
    change: ChangeContext,
    *,
    role: str,
    expected_version: int,
    subject: ApprovalSubject = ApprovalSubject.STEP,
) -> list[Approval]:
    """Approve the next step, or a change of the plan, once; returns who approves it now. Raises Problem."""
    if outdated := stale(rollout, expected_version):
        raise Problem(409, outdated[0].code, outdated[0].sentence)
    check_approver(session, rollout, change.actor, change.now, role=role, subject=subject)
    require_reason(change.reason)
    if approval_store.add(session, rollout, change, role, subject):
        after = {"phase": rollout.phase.name, "percentage": rollout.percentage, "plan_version": rollout.plan_version}
        action = "rollout.approve" if subject is ApprovalSubject.STEP else "rollout.approve_plan"
        audit.record(session, change, action=action, subject=f"rollout:{rollout.flag}", after=after)
        change_feed.publish(session, TOPIC, rollout.flag, now=change.now)
    return given(session, rollout, subject)


def check_approver(
    session: Session, rollout: Rollout, actor: str, now: datetime, *, role: str, subject: ApprovalSubject
) -> None:
    """Raise Problem unless `actor` may approve this: in a role that is asked for, and nothing of their own."""
    required = needed(rollout, subject)
    if required is None:
        raise _unneeded(rollout, subject)
    roles = dict.fromkeys(each for wanted in _every_approval(rollout, subject, required) for each in wanted.roles)
    if role not in roles:
        detail = f"This is approved by the role {' or '.join(roles)}, and {actor} is {role}."
        raise Problem(403, "ROLE_REQUIRED", detail)
    if required is not OWNERS:
        _check_independence(session, rollout, actor, now)


def withdraw(
    session: Session, rollout: Rollout, change: ChangeContext, subject: ApprovalSubject = ApprovalSubject.STEP
) -> list[Approval]:
    """Take one's own approval back, as long as it holds; returns who approves it then. Raises Problem."""
    require_reason(change.reason)
    if not approval_store.remove(session, rollout, subject, change.actor):
        raise Problem(409, "NO_OWN_APPROVAL", f"{change.actor} approves nothing here that could be taken back.")
    after = {"of": subject.value, "phase": rollout.phase.name, "plan_version": rollout.plan_version}
    audit.record(session, change, action="rollout.withdraw_approval", subject=f"rollout:{rollout.flag}", after=after)
    change_feed.publish(session, TOPIC, rollout.flag, now=change.now)
    return given(session, rollout, subject)


def role_in_plan(role: Role | None) -> str:
    """Return a role in the words of a plan, which knows no admins: they approve as owners."""
    return str(Role.OWNER if role is Role.ADMIN else role or "")


def needed(rollout: Rollout, subject: ApprovalSubject) -> Approvals | None:
    """Return the approvals that the plan asks for; None where nobody needs to approve, or nothing can be approved."""
    if subject is ApprovalSubject.PLAN:
        return strongest(rollout.plan)
    if rollout.latched or rollout.completed_at:
        return None
    by_hand = rollout.phase.advance is AdvanceMode.BY_HAND
    return rollout.phase.gates.approvals or (None if by_hand else OWNERS)


def given(session: Session, rollout: Rollout, subject: ApprovalSubject = ApprovalSubject.STEP) -> list[Approval]:
    """Return the approvals that hold for the rollout as it stands."""
    found = [
        Approval(_in_step(session, rollout, row.actor, row.at), row.role, row.reason, row.at)
        for row in approval_store.load(session, rollout, subject)
    ]
    if not found:
        return []
    # Somebody who was locked out, or has another role by now, approves nothing any more; nor does a revoked token.
    roles, revoked = _present_roles(session, rollout.flag), tokens.revoked_actors(session)
    return [
        each
        for each in found
        if each.actor not in revoked and all(_still_has(roles, name, each.role) for name in each.by.people)
    ]


def principal(session: Session, actor: str, *, at: datetime, since: datetime | None = None) -> Principal:
    """Return who acts under this name at `at`, and, where that counts, who gave it access lately, or `since` then."""
    people, days = tokens.people_behind(session, actor), current().approval_access_days
    if not days:
        return Principal(actor, people)
    begun = min(at - timedelta(days=days), since or at)
    givers = access_givers(session, since=begun, until=at)
    reachable = tokens.people_behind(session, actor, givers=givers)
    return Principal(actor, people, reachable - people - accounts.RESERVED)


def still_counts(session: Session, flag: str, actor: str, role: Role) -> bool:
    """Return whether what was asked for under this name and in this role is still wanted by somebody who may."""
    roles, people = _present_roles(session, flag), tokens.people_behind(session, actor)
    return actor not in tokens.revoked_actors(session) and all(_still_has(roles, name, role) for name in people)


def _present_roles(session: Session, name: str) -> dict[str, Role | None]:
    # Whichever environment this process serves: the leader of a shared database may be a server of another one.
    environment = environment_of(name) or PRODUCTION
    return {
        person.username: None if person.disabled_at else role_on(person.all_grants, flag_of(name), environment)
        for person in accounts.list_people(session)
    }


def _still_has(roles: Mapping[str, Role | None], name: str, role: str) -> bool:
    """Return whether somebody still has the role they approved in; a console and what is no person's name has."""
    present = roles.get(name, Role(role))
    return present is not None and present.includes(Role(role))


def gate(
    session: Session,
    rollout: Rollout,
    wanted: Approvals,
    asker: str,
    now: datetime,
    *,
    subject: ApprovalSubject = ApprovalSubject.STEP,
) -> GateResult:
    """Evaluate the gate for what `asker` asks for; it counts nobody's own approval.

    A change of the plan takes what each phase asks for: the approvers of one can't waive those of another.
    """
    planner = _planner(session, rollout)
    excluded = [planner] if planner else []
    if asker:
        excluded.append(_in_step(session, rollout, asker, now))
    found = given(session, rollout, subject)
    gates = [approvals_gate(each, found, excluded=excluded) for each in _every_approval(rollout, subject, wanted)]
    return next((each for each in gates if each.status is not GateStatus.OPEN), gates[0])


def gate_of_plan(session: Session, rollout: Rollout, change: ChangeContext) -> GateResult | None:
    """Evaluate the approvals that the plan asks for anywhere; None where it asks for none."""
    wanted = needed(rollout, ApprovalSubject.PLAN)
    return gate(session, rollout, wanted, change.actor, change.now, subject=ApprovalSubject.PLAN) if wanted else None


def objections(session: Session, rollout: Rollout, after: Rollout, change: ChangeContext) -> list[Reason]:
    """Refuse an edit that asks for fewer approvals than the plan does, unless as many as it asks for want it so."""
    wanted = needed(rollout, ApprovalSubject.PLAN)
    if wanted is None:
        return []
    fewer = (
        weaker_phases(rollout.plan, after.plan, wanted),
        opened_with_fewer(rollout, after),
        given_up(rollout.plan, after.plan),
    )
    weaker = dict.fromkeys(chain(*fewer))
    if not weaker:
        return []
    found = gate(session, rollout, wanted, change.actor, change.now, subject=ApprovalSubject.PLAN)
    if found.status is GateStatus.OPEN:
        return []
    sentence = (
        f"The edit asks for fewer approvals than the plan does ({', '.join(weaker)}), which takes approvals itself, "
        "of a change of the plan."
    )
    return [Reason("APPROVAL_REQUIRED", f"{sentence} {found.reason}")]


def _every_approval(rollout: Rollout, subject: ApprovalSubject, wanted: Approvals) -> tuple[Approvals, ...]:
    if subject is ApprovalSubject.STEP:
        return (wanted,)
    return tuple(dict.fromkeys([wanted, *(each.gates.approvals or wanted for each in rollout.plan.phases)]))


def _planner(session: Session, rollout: Rollout) -> Principal | None:
    version = store.plan_version(session, rollout.flag, rollout.plan_version)
    return principal(session, version.actor, at=version.at) if version else None


def _in_step(session: Session, rollout: Rollout, actor: str, at: datetime) -> Principal:
    return principal(session, actor, at=at, since=rollout.entered_at)


def _check_independence(session: Session, rollout: Rollout, actor: str, now: datetime) -> None:
    """Raise Problem for whoever made the plan, or may act under one name with them."""
    planner, approver = _planner(session, rollout), _in_step(session, rollout, actor, now)
    if planner is None:
        return
    if planner.people & approver.people:
        detail = f"{actor} made this plan, or a token of whoever did; somebody else approves its steps."
        raise Problem(409, "OWN_PLAN", detail)
    if shared := approver.common_with(planner):
        detail = f"{planner.actor} made this plan. {shared_access_sentence(actor, *shared)}"
        raise Problem(409, "ACCESS_SHARED", detail)


def _unneeded(rollout: Rollout, subject: ApprovalSubject) -> Problem:
    if subject is ApprovalSubject.STEP and (rollout.latched or rollout.completed_at):
        detail = f"{rollout.flag} has no next step; what can be approved is a change of its plan."
        return Problem(409, "NO_NEXT_STEP", detail)
    where = "any phase" if subject is ApprovalSubject.PLAN else "this phase"
    return Problem(409, "NO_APPROVAL_NEEDED", f"The plan of {rollout.flag} asks for no approval in {where}.")
