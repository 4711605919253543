"""How a change of a rollout takes effect: stored by compare-and-set, audited, announced, told to listeners.

All in the caller's transaction, so that none of it happens without the rest.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext, Evidence
from control_plane.core.phases import Rollout
from control_plane.core.transitions import LOST_RACE, Action, Decision, Refusal
from control_plane.platform.auth import audit
from control_plane.platform.extensions import AppState
from control_plane.platform.runtime import change_feed
from control_plane.rollouts import store

TOPIC = "rollout"


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

CHANGE_LISTENERS = AppState[dict[str, ChangeListener]]("change_listeners", dict)
AUDIT_CONTEXT_PROVIDERS = AppState[dict[str, AuditContextProvider]]("audit_context_providers", dict)


def on_change(name: str, listener: ChangeListener) -> None:
    """Let `listener` take part in the transaction of every change; what it raises undoes the change."""
    CHANGE_LISTENERS.get()[name] = listener


def register_audit_context(name: str, provider: AuditContextProvider) -> None:
    """Let every change's audit entry carry what `provider` returns, under `name`."""
    AUDIT_CONTEXT_PROVIDERS.get()[name] = provider


def latch(rollout: Rollout) -> str | None:
    """Return where a rollback is in force: in `production`, the one environment or `everywhere`; None where nowhere."""
    if not rollout.latched:
        return None
    if rollout.plan.is_of_one_environment:
        return rollout.plan.environment
    return "everywhere" if rollout.latches_all else "production"


def summary(rollout: Rollout) -> dict[str, object]:
    """Return the fields of a rollout that the audit trail and the API show."""
    return {
        "flag": rollout.flag,
        **({"environment": rollout.plan.environment} if rollout.plan.is_of_one_environment else {}),
        "version": rollout.version,
        "attempt": rollout.attempt,
        "state": rollout.state.value,
        "latch": latch(rollout),
        "phase": rollout.phase.name,
        "percentage": rollout.percentage,
        "entered_at": rollout.entered_at.isoformat(),
        "state_reason": rollout.state_reason,
    }


def apply(session: Session, decision: Decision, change: ChangeContext) -> Decision:
    """Carry out a transition that is still possible; a refusal stays one."""
    if isinstance(decision, Refusal):
        return decision
    before, after = decision.before, decision.after
    if not store.compare_and_set(session, after, expected_version=before.version):
        # Losing a race is a normal outcome: somebody else changed the rollout while we decided.
        return Refusal(decision.action, (LOST_RACE,))
    publish(session, decision.action, before, after, replace(change, reason=decision.reason))
    return decision


def publish(session: Session, action: Action, before: Rollout | None, after: Rollout, change: ChangeContext) -> None:
    """Audit a change that was stored, announce it and tell the listeners."""
    # About the rollout as it was when somebody decided, although its row has changed by now.
    change = replace(change, evidence={**(change.evidence or {}), **_audit_context(session, before or after)})
    record(session, action, before, after, change)
    change_feed.publish(session, TOPIC, after.flag, now=change.now)
    # In the same transaction: the notification that a listener queues exists exactly if the change does.
    for listener in CHANGE_LISTENERS.get().values():
        listener(session, RolloutChanged(action, after, change))


def _audit_context(session: Session, rollout: Rollout) -> dict[str, object]:
    """Collect what is known at the moment of a change, whoever makes it."""
    return {name: dict(provider(session, rollout)) for name, provider in AUDIT_CONTEXT_PROVIDERS.get().items()}


def record(session: Session, action: Action, before: Rollout | None, after: Rollout, change: ChangeContext) -> None:
    """Put a change into the audit trail: the plan itself too where it is another one, most changes only move in it."""
    changed = before is None or before.plan != after.plan
    audit.record(
        session,
        change,
        action=f"rollout.{action}",
        subject=f"rollout:{after.flag}",
        before=_content(before, with_plan=changed) if before else None,
        after={**_content(after, with_plan=changed), "evidence": dict(change.evidence or {})},
    )


def _content(rollout: Rollout, *, with_plan: bool) -> dict[str, object]:
    return summary(rollout) | ({"plan": store.plan_to_json(rollout.plan)} if with_plan else {})
