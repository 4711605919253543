"""The use cases of a rollout: load, decide, store by compare-and-set, audit, announce.

Each runs in the caller's transaction, so use cases compose and nothing is half done.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.orm import Session

from control_plane import losses, store, transitions
from control_plane.change_context import ChangeContext, Evidence
from control_plane.gates import GateResult, GateStatus, soak_gate
from control_plane.phases import Plan, Rollout, new_rollout, plan_errors
from control_plane.platform.auth import audit
from control_plane.platform.extensions import AppState
from control_plane.platform.runtime import change_feed
from control_plane.transitions import Action, Decision, Reason, Refusal, Transition

TOPIC = "rollout"

Gate = Callable[[Session, Rollout, datetime], GateResult]
"""Answers whether a rollout may advance; registered by the packages above through `register_gate`."""

PlanCheck = Callable[[Session, str, Plan], list[Reason]]
"""Reasons against a new plan for a flag; registered by the packages above through `register_plan_check`."""


@dataclass(frozen=True, slots=True)
class RolloutChanged:
    """A change of a rollout, for the listeners in its transaction."""

    action: Action
    after: Rollout
    context: ChangeContext


ChangeListener = Callable[[Session, RolloutChanged], None]
"""Told of every change in its own transaction; registered by the packages above through `on_change`."""


AuditContextProvider = Callable[[Session, Rollout], Evidence]
"""What is known of a rollout as it changes; registered by the packages above through `register_audit_context`."""

ADVANCE_GATES = AppState[dict[str, Gate]]("advance_gates", dict)
REARM_GATES = AppState[dict[str, Gate]]("rearm_gates", dict)
CHANGE_LISTENERS = AppState[dict[str, ChangeListener]]("change_listeners", dict)
AUDIT_CONTEXT_PROVIDERS = AppState[dict[str, AuditContextProvider]]("audit_context_providers", dict)
PLAN_CHECKS = AppState[dict[str, PlanCheck]]("plan_checks", dict)


class UnknownRolloutError(LookupError):
    """No rollout exists for the flag; the message names it."""

    def __init__(self, flag: str) -> None:
        super().__init__(f"There is no rollout of {flag!r}; `rollout plan` makes one.")


def register_gate(name: str, gate: Gate) -> None:
    """Let `gate` have a say in every advance."""
    ADVANCE_GATES.get()[name] = gate


def register_rearm_gate(name: str, gate: Gate) -> None:
    """Let `gate` have a say in re-arming."""
    REARM_GATES.get()[name] = gate


def register_plan_check(name: str, check: PlanCheck) -> None:
    """Let `check` refuse plans that have no mistakes of their own."""
    PLAN_CHECKS.get()[name] = check


def on_change(name: str, listener: ChangeListener) -> None:
    """Let `listener` take part in the transaction of every change; what it raises undoes the change."""
    CHANGE_LISTENERS.get()[name] = listener


def register_audit_context(name: str, provider: AuditContextProvider) -> None:
    """Let every change's audit entry carry what `provider` returns, under `name`."""
    AUDIT_CONTEXT_PROVIDERS.get()[name] = provider


def gates(session: Session, rollout: Rollout, now: datetime, *, but: Collection[str] = ()) -> list[GateResult]:
    """Evaluate every gate of an advance, the soak time first; skip those named in `but`."""
    evaluated = [gate for name, gate in ADVANCE_GATES.get().items() if name not in but]
    return [soak_gate(rollout, now), *(gate(session, rollout, now) for gate in evaluated)]


def rearm_gates(session: Session, rollout: Rollout, now: datetime) -> list[GateResult]:
    """Evaluate every gate of re-arming."""
    return [gate(session, rollout, now) for gate in REARM_GATES.get().values()]


def find(session: Session, flag: str) -> Rollout:
    """The rollout of `flag`; raises UnknownRolloutError."""
    rollout = store.load(session, flag)
    if rollout is None:
        raise UnknownRolloutError(flag)
    return rollout


def plan(session: Session, flag: str, plan: Plan, change: ChangeContext, *, confirm_losing: bool = False) -> Decision:
    """Create the rollout of `flag` at the plan's lowest step; refused when it exists or the plan has mistakes."""
    found = [Reason("PLAN_INVALID", sentence) for sentence in plan_errors(plan)] or _objections(session, flag, plan)
    mistakes, evidence = losses.split_confirmed(found, confirm_losing=confirm_losing)
    if store.load(session, flag) is not None:
        mistakes.append(Reason("ROLLOUT_EXISTS", f"{flag} has a rollout already."))
    if mistakes:
        return Refusal(Action.PLAN, tuple(mistakes))
    rollout = new_rollout(flag, plan, now=change.now, reason=change.reason)
    store.add(session, rollout)
    _publish(session, Action.PLAN, None, rollout, replace(change, evidence=evidence))
    return Transition(Action.PLAN, rollout, rollout, change.reason)


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
    7. `platform/auth/audit.py`: the sealed entry, with the evidence of `alerts/verdict_snapshot.py`
    8. `platform/runtime/change_feed.py`: the announcement; `alerts/notifications/outbox.py`: the notification
    9. after the commit, in every process: `flags/client_features/refresher.py` makes the new feature set
    """
    # The gates read what others computed and may take a while; the compare-and-set in `_apply` notices a change
    # meanwhile.
    rollout = find(session, flag)
    results, loss = gates(session, rollout, change.now), losses.loss_by_advance(session, rollout, change.now)
    unconfirmed = None if confirm_losing else loss
    decision = transitions.decide_advance(
        rollout, results, now=change.now, expected_version=expected_version, approval=approval, unconfirmed=unconfirmed
    )
    evidence = {gate.name: {"status": gate.status, "reason": gate.reason, **gate.evidence} for gate in results}
    if approval and any(gate.status is GateStatus.UNKNOWN for gate in results):
        evidence["approved_by"] = {"actor": change.actor, "reason": approval}
    if loss:
        evidence["confirmed_losing"] = {"actor": change.actor, **loss.documented}
    return _apply(session, decision, replace(change, evidence=evidence))


def step_back(session: Session, flag: str, change: ChangeContext, *, expected_version: int) -> Decision:
    """One step down."""
    decision = transitions.decide_step_back(
        find(session, flag), now=change.now, expected_version=expected_version, reason=change.reason
    )
    return _apply(session, decision, change)


def hold(session: Session, flag: str, change: ChangeContext, *, lasting: bool = False) -> Decision:
    """Stop advancing. With evidence it is the guard that holds and releases again, unless the hold is `lasting`."""
    by_guard = change.evidence is not None and not lasting
    decision = transitions.decide_hold(find(session, flag), now=change.now, reason=change.reason, by_guard=by_guard)
    return _apply(session, decision, change)


def resume(session: Session, flag: str, change: ChangeContext) -> Decision:
    """End a hold; with evidence it is the guard that ends its own."""
    by_guard = change.evidence is not None
    decision = transitions.decide_resume(find(session, flag), now=change.now, reason=change.reason, by_guard=by_guard)
    return _apply(session, decision, change)


def roll_back(session: Session, flag: str, change: ChangeContext, *, attempt: int | None = None) -> Decision:
    """Legacy for everybody from the next evaluation on. A second cause is added to the audit and changes nothing."""
    rollout = find(session, flag)
    decision = transitions.decide_rollback(rollout, now=change.now, reason=change.reason, attempt=attempt)
    # Nothing changes any more, but a second alert that fires a moment later is a finding that people must not lose.
    if isinstance(decision, Refusal) and rollout.latched and change.reason.strip():
        _record(session, Action.ROLL_BACK, rollout, rollout, change)
    return _apply(session, decision, change)


def rearm(session: Session, flag: str, change: ChangeContext, *, expected_version: int) -> Decision:
    """A new attempt at the lowest step, once the cool-down is over and nothing fires any more."""
    rollout = find(session, flag)
    results = rearm_gates(session, rollout, change.now)
    decision = transitions.decide_rearm(
        rollout, results, now=change.now, expected_version=expected_version, reason=change.reason
    )
    return _apply(session, decision, change)


def latch_restored(session: Session, flag: str, replaced: Rollout | None, change: ChangeContext) -> Rollout:
    """Legacy for everybody after a restore, until a person arms it again.

    `replaced` is the rollout as the replaced database had it; one that only that database knew is kept, latched.
    """
    # A rollout that is younger than the backup would otherwise vanish, and its flag go back to its default unnoticed.
    if store.load(session, flag) is None and replaced is not None:
        store.add(session, replaced)
    decision = transitions.decide_restore(find(session, flag), replaced, now=change.now, reason=change.reason)
    _apply(session, decision, change)
    return decision.after


def summary(rollout: Rollout) -> dict[str, object]:
    """Return the fields of a rollout that the audit trail and the API show."""
    return {
        "flag": rollout.flag,
        "version": rollout.version,
        "attempt": rollout.attempt,
        "state": rollout.state.value,
        "phase": rollout.phase.name,
        "percentage": rollout.percentage,
        "entered_at": rollout.entered_at.isoformat(),
        "state_reason": rollout.state_reason,
    }


def _objections(session: Session, flag: str, plan: Plan) -> list[Reason]:
    return [reason for check in PLAN_CHECKS.get().values() for reason in check(session, flag, plan)]


def _apply(session: Session, decision: Decision, change: ChangeContext) -> Decision:
    if isinstance(decision, Refusal):
        return decision
    before, after = decision.before, decision.after
    if not store.compare_and_set(session, after, expected_version=before.version):
        # Losing a race is a normal outcome: somebody else changed the rollout while we decided.
        lost = Reason("VERSION_CONFLICT", "Somebody else changed the rollout at the same moment; look again.")
        return Refusal(decision.action, (lost,))
    _publish(session, decision.action, before, after, replace(change, reason=decision.reason))
    return decision


def _publish(session: Session, action: Action, before: Rollout | None, after: Rollout, change: ChangeContext) -> None:
    # About the rollout as it was when somebody decided, although its row has changed by now.
    change = replace(change, evidence={**(change.evidence or {}), **_audit_context(session, before or after)})
    _record(session, action, before, after, change)
    change_feed.publish(session, TOPIC, after.flag, now=change.now)
    # In the same transaction: the notification that a listener queues exists exactly if the change does.
    for listener in CHANGE_LISTENERS.get().values():
        listener(session, RolloutChanged(action, after, change))


def _audit_context(session: Session, rollout: Rollout) -> dict[str, object]:
    """Collect what is known at the moment of a change, whoever makes it."""
    return {name: dict(provider(session, rollout)) for name, provider in AUDIT_CONTEXT_PROVIDERS.get().items()}


def _record(session: Session, action: Action, before: Rollout | None, after: Rollout, change: ChangeContext) -> None:
    audit.record(
        session,
        change,
        action=f"rollout.{action}",
        subject=f"rollout:{after.flag}",
        before=summary(before) if before else None,
        after={**summary(after), "evidence": dict(change.evidence or {})},
    )
