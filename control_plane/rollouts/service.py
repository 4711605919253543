"""The use cases of a rollout: load, decide, store by compare-and-set, audit, announce.

Each runs in the caller's transaction, so use cases compose and nothing is half done.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from sqlalchemy.orm import Session

from control_plane.audiences.exposure import PRODUCTION
from control_plane.change_context import ChangeContext, Evidence
from control_plane.core import rollbacks, transitions
from control_plane.core.gates import GateResult, GateStatus, soak_gate
from control_plane.core.phases import PRE_PRODUCTION, Plan, Rollout, new_rollout
from control_plane.core.plan_errors import plan_errors
from control_plane.core.rollbacks import decide_breach
from control_plane.core.transitions import LOST_RACE, Action, Decision, Reason, Refusal, Transition
from control_plane.platform.extensions import AppState
from control_plane.platform.settings import current
from control_plane.rollout_names import environment_of, flag_of, name_errors
from control_plane.rollouts import environments, losses, store
from control_plane.rollouts.deleted import beyond_deleted, cooling_down, was_rolled_back
from control_plane.rollouts.gate_registry import ADVANCE_GATES, plan_gates, rearm_gates
from control_plane.rollouts.publication import (
    TOPIC,
    RolloutChanged,
    apply,
    on_change,
    publish,
    record,
    register_audit_context,
    summary,
)

__all__ = [
    "TOPIC",
    "RolloutChanged",
    "advance",
    "answer_breach",
    "find",
    "gates",
    "hold",
    "latch_restored",
    "on_change",
    "plan",
    "rearm",
    "register_audit_context",
    "register_plan_check",
    "resume",
    "reuse_reasons",
    "roll_back",
    "step_back",
    "summary",
]

PlanCheck = Callable[[Session, str, Plan], list[Reason]]
"""Reasons against a new plan for a flag; registered by the packages above through `register_plan_check`."""


PLAN_CHECKS = AppState[dict[str, PlanCheck]]("plan_checks", dict)


class UnknownRolloutError(LookupError):
    """No rollout exists for the flag; the message names it."""

    def __init__(self, flag: str) -> None:
        super().__init__(f"There is no rollout of {flag!r}; `rollout plan` makes one.")


def register_plan_check(name: str, check: PlanCheck) -> None:
    """Let `check` refuse plans that have no mistakes of their own."""
    PLAN_CHECKS.get()[name] = check


def gates(
    session: Session, rollout: Rollout, now: datetime, *, but: Collection[str] = (), asker: str = ""
) -> list[GateResult]:
    """Evaluate every gate of an advance that `asker` asks for, the soak time first; skip those named in `but`."""
    evaluated = [gate for name, gate in ADVANCE_GATES.get().items() if name not in but]
    planned = plan_gates(session, rollout, now, asker)
    held = environments.hold_gates(session, rollout)
    return [soak_gate(rollout, now), *held, *planned, *(gate(session, rollout, now) for gate in evaluated)]


def find(session: Session, flag: str) -> Rollout:
    """Return the rollout of `flag`; raises UnknownRolloutError."""
    rollout = store.load(session, flag)
    if rollout is None:
        raise UnknownRolloutError(flag)
    return rollout


def plan(session: Session, flag: str, plan: Plan, change: ChangeContext, *, confirm_losing: bool = False) -> Decision:
    """Create the rollout of `flag` at the plan's lowest step; refused when it exists or the plan has mistakes."""
    if unnameable := [Reason("INVALID_FLAG_NAME", sentence) for sentence in name_errors(flag)]:
        return Refusal(Action.PLAN, tuple(unnameable))
    rollout = beyond_deleted(session, new_rollout(flag, plan, now=change.now, reason=change.reason))
    found = plan_objections(session, flag, plan)
    is_of_one = environment_of(flag) is not None
    if is_of_one and not found:
        store.lock(session, flag_of(flag))
        found = environments.takeover_reasons(session, rollout, change)
    mistakes, evidence = losses.split_confirmed(found, confirm_losing=confirm_losing)
    if (existing := store.load(session, flag)) is not None:
        mistakes.append(_exists(existing))
    else:
        mistakes += reuse_reasons(session, rollout, change.now)
    if mistakes:
        return Refusal(Action.PLAN, tuple(mistakes))
    if is_of_one and not environments.renew_whole(session, flag):
        return Refusal(Action.PLAN, (LOST_RACE,))
    store.add(session, rollout)
    store.add_plan_version(session, rollout, change)
    publish(session, Action.PLAN, None, rollout, replace(change, evidence=evidence))
    return Transition(Action.PLAN, rollout, rollout, change.reason)


def reuse_reasons(session: Session, made: Rollout, now: datetime) -> list[Reason]:
    """Return what speaks against a plan under a name that was rolled back and deleted: it is a new attempt."""
    if not was_rolled_back(session, made.flag):
        return []
    cooling = cooling_down(session, [made.flag], now).values()
    return [*cooling, *transitions.closed_reasons(rearm_gates(session, made, now))]


def plan_objections(session: Session, flag: str, plan: Plan) -> list[Reason]:
    """Return everything that speaks against a plan for `flag`: its mistakes, else what the packages above object to."""
    if mistakes := [*plan_errors(plan), *_environment_errors(flag, plan)]:
        return [Reason("PLAN_INVALID", sentence) for sentence in mistakes]
    return [reason for check in PLAN_CHECKS.get().values() for reason in check(session, flag, plan)]


def advance(
    session: Session,
    flag: str,
    change: ChangeContext,
    *,
    expected_version: int,
    approval: str = "",
    confirm_losing: bool = False,
) -> Decision:
    """Take one step up if every gate is open, or `approval` says why the unknown ones may be passed.

    The life of an advance, from the request to every process:
    1. `api.py` or `dashboards/views/rollout.py`: the role, the version that the caller saw, one transaction
    2. `find`: the rollout as it is, through `phases.py` and `audiences/`
    3. `gates`: the soak time, then each registered gate: `alerts/gates.py`, `credits_engine/migration/advance_gate.py`
    4. `losses.py`, answered by `flags/administration/losses.py`: who would lose the flag
    5. `transitions.decide_advance`: the next step, or every reason against it; pure
    6. `store.compare_and_set`: somebody else may have been faster
    7. `platform/auth/audit.py`: the audit entry, with the evidence of `alerts/verdict_figures.py`
    8. `platform/runtime/change_feed.py`: the announcement; `alerts/notifications/outbox.py`: the notification
    9. after the commit, in every process: `flags/client_features/refresher.py` makes the new feature set
    """
    # The gates may take a while; the compare-and-set in `apply` notices a change meanwhile.
    rollout = find(session, flag)
    results = gates(session, rollout, change.now, asker=change.actor)
    loss = losses.loss_by_advance(session, rollout, change.now)
    if environment_of(flag):
        # Whoever holds or rolls back the whole flag at this moment is waited for, or waits: not for gates and counting.
        store.lock(session, flag_of(flag))
        results += environments.hold_gates(session, rollout)
    unconfirmed = None if confirm_losing else loss
    decision = transitions.decide_advance(
        rollout, results, now=change.now, expected_version=expected_version, approval=approval, unconfirmed=unconfirmed
    )
    evidence = dict[str, object]({each.name: each.document for each in results})
    if approval and any(gate.status is GateStatus.UNKNOWN for gate in results):
        evidence |= change.evidence or approved_by({change.actor: approval})
    if loss:
        evidence["confirmed_losing"] = {"actor": change.actor, **loss.documented}
    return apply(session, decision, replace(change, evidence=evidence))


def approved_by(reasons: Mapping[str, str]) -> Evidence:
    """Return the part of the evidence that names who let unknown gates pass, from the reason that each gave."""
    return {"approved_by": [{"actor": actor, "reason": reason} for actor, reason in reasons.items()]}


def step_back(session: Session, flag: str, change: ChangeContext, *, expected_version: int) -> Decision:
    """Move one step down."""
    decision = transitions.decide_step_back(
        find(session, flag), now=change.now, expected_version=expected_version, reason=change.reason
    )
    return apply(session, decision, change)


def hold(session: Session, flag: str, change: ChangeContext, *, by_guard: bool = False) -> Decision:
    """Stop advancing: until a person resumes, or with `by_guard` until the guard does."""
    decision = transitions.decide_hold(find(session, flag), now=change.now, reason=change.reason, by_guard=by_guard)
    return apply(session, decision, change)


def resume(session: Session, flag: str, change: ChangeContext, *, by_guard: bool = False) -> Decision:
    """End a hold; the guard ends only its own."""
    decision = transitions.decide_resume(find(session, flag), now=change.now, reason=change.reason, by_guard=by_guard)
    return apply(session, decision, change)


def roll_back(
    session: Session, flag: str, change: ChangeContext, *, attempt: int | None = None, in_all: bool = False
) -> Decision:
    """Give everybody the control from the next evaluation on. A second cause is added to the audit and changes nothing.

    In production, and with `in_all` in development and staging too, as where this process serves one of those. What
    the flag has of its own in single environments goes with it by the same rule; one of those goes alone.
    """
    if in_all:
        flag = flag_of(flag)
    # Whoever changes the rollout at this moment is waited for, so that switching off loses no race to an advance.
    store.lock(session, flag)
    rollout = find(session, flag)
    in_all = in_all or current().environment in PRE_PRODUCTION
    others = environments.locked_for_rollback(session, flag, in_all=in_all)
    decision = rollbacks.decide_rollback(rollout, now=change.now, reason=change.reason, attempt=attempt, in_all=in_all)
    # Nothing changes any more, but a second alert that fires a moment later is a finding that people must not lose.
    if isinstance(decision, Refusal) and rollout.latched and change.reason:
        record(session, Action.ROLL_BACK, rollout, rollout, change)
    result = apply(session, decision, change)
    if isinstance(result, Transition) or is_rolled_back(rollout, in_all=in_all):
        environments.roll_back_all(session, others, change)
    return result


def is_rolled_back(rollout: Rollout, *, in_all: bool) -> bool:
    """Return whether a rollback of this scope has nothing left to do."""
    return rollout.latched and (rollout.latches_all or not in_all)


def answer_breach(session: Session, flag: str, change: ChangeContext, *, attempt: int, is_candidates: bool) -> Decision:
    """Step back or roll back, as the plan says, because of what an alert found in this attempt."""
    rollout = find(session, flag)
    decision = decide_breach(
        rollout, now=change.now, reason=change.reason, attempt=attempt, is_candidates=is_candidates
    )
    if decision.action is Action.ROLL_BACK:
        return roll_back(session, flag, change, attempt=attempt)
    return apply(session, decision, change)


def rearm(session: Session, flag: str, change: ChangeContext, *, expected_version: int) -> Decision:
    """Begin a new attempt at the lowest step, once the cool-down is over, nothing fires, and the calendar allows it."""
    rollout = find(session, flag)
    results = rearm_gates(session, rollout, change.now)
    decision = rollbacks.decide_rearm(
        rollout, results, now=change.now, expected_version=expected_version, reason=change.reason
    )
    if also := environments.rearm_reasons(session, rollout):
        earlier = decision.reasons if isinstance(decision, Refusal) else ()
        decision = Refusal(Action.REARM, (*earlier, *also))
    return apply(session, decision, change)


def latch_restored(session: Session, flag: str, replaced: Rollout | None, change: ChangeContext) -> Rollout:
    """Give everybody the control after a restore, until a person arms it again.

    `replaced` is the rollout as the replaced database had it; one that only that database knew is kept, latched.
    """
    # A rollout that is younger than the backup would otherwise vanish, and its flag go back to its default unnoticed.
    if store.load(session, flag) is None and replaced is not None:
        store.add(session, replaced)
    decision = rollbacks.decide_restore(find(session, flag), replaced, now=change.now, reason=change.reason)
    apply(session, decision, change)
    return decision.after


def _environment_errors(name: str, plan: Plan) -> Iterator[str]:
    wanted = environment_of(name) or PRODUCTION
    if plan.environment != wanted:
        yield (
            f"The plan is of {plan.environment}, and {name} is the rollout of {wanted}. A plan moves to another "
            "environment by a rollout of that one."
        )


def _exists(rollout: Rollout) -> Reason:
    if rollout.archived:
        sentence = f"{rollout.flag} is archived; revive it, or delete it to use its name again."
        return Reason("ROLLOUT_ARCHIVED", sentence)
    return Reason("ROLLOUT_EXISTS", f"{rollout.flag} has a rollout already.")
