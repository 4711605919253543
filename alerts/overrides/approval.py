"""The use cases of an override: grant it, end it. Each in the caller's transaction, audited and announced.

A critical alert takes two: the first owner asks, another one who wishes the same within a quarter of an hour grants. A
token is no other one: it counts as the person who made it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from alerts.analysis.environments import with_environments
from alerts.analysis.rules import Rule, Severity
from alerts.notifications import messages, outbox
from alerts.overrides import store
from alerts.overrides.store import Override, PendingOverride
from control_plane import rollouts
from control_plane.change_context import ChangeContext, trimmed
from control_plane.core.approval_gate import shared_access_sentence
from control_plane.platform.auth import audit
from control_plane.platform.identity_types import Role
from control_plane.platform.problems import Problem, require_reason
from control_plane.platform.runtime import change_feed
from control_plane.rollouts import approvals

LONGEST = timedelta(minutes=60)
ASKED_FOR = timedelta(minutes=15)
"""For how long a second owner may grant what a first one asked for."""


@dataclass(frozen=True, slots=True)
class OverrideRequest:
    """A request: which alert of which flag, for how long, and why."""

    flag: str
    alert: str
    minutes: int
    reason: str


def grant(
    session: Session, rules: Sequence[Rule], request: OverrideRequest, *, now: datetime, actor: str
) -> Override | PendingOverride:
    """Let the alert notify only until the time is up; one that stands already is replaced.

    The first wish for a critical alert only asks. Raises Problem.
    """
    rollout = rollouts.find(session, request.flag)
    rule = _rule(rules, request)
    _check(rule, request)
    if rollout.latched:
        sentence = "The rollout is rolled back already, which no override undoes; re-arm it instead."
        raise Problem(409, "ROLLED_BACK", sentence)
    pending = store.pending(session, request.flag, request.alert, attempt=rollout.attempt, since=now - ASKED_FOR)
    if pending is not None and not approvals.still_counts(session, request.flag, pending.actor, Role.OWNER):
        pending = None  # who asked was locked out since, or is no owner any more
    if rule.severity is Severity.CRITICAL and (pending is None or _is_one_person(session, pending.actor, actor, now)):
        return _ask(session, request, attempt=rollout.attempt, now=now, actor=actor)
    store.end(session, request.flag, request.alert, now=now, actor=actor)
    until = now + timedelta(minutes=request.minutes)
    granted = Override(request.flag, request.alert, rollout.attempt, actor, trimmed(request.reason), now, until)
    store.add(session, granted)
    after = {
        "alert": request.alert,
        "attempt": rollout.attempt,
        "expires_at": granted.expires_at.isoformat(),
        "asked_by": pending.actor if pending else None,
    }
    _publish(session, "alert.override", request.flag, ChangeContext(now, actor, granted.reason), after=after)
    message = messages.of_override(
        request.flag, request.alert, actor=actor, reason=granted.reason, expires_at=granted.expires_at, now=now
    )
    outbox.enqueue(session, message, now=now)
    return granted


def end(session: Session, flag: str, alert: str, *, now: datetime, actor: str, reason: str) -> None:
    """Let the alert act again. Raises Problem when no override stands."""
    if not store.end(session, flag, alert, now=now, actor=actor):
        raise Problem(404, "OVERRIDE_NOT_FOUND", f"No override of {alert!r} stands for {flag}.")
    _publish(session, "alert.override_end", flag, ChangeContext(now, actor, reason), after={"alert": alert})


def _ask(session: Session, request: OverrideRequest, *, attempt: int, now: datetime, actor: str) -> PendingOverride:
    """Put the wish where a second owner finds it."""
    pending = PendingOverride(request.flag, request.alert, actor, trimmed(request.reason), now + ASKED_FOR)
    after = {"alert": request.alert, "attempt": attempt, "minutes": request.minutes, "until": pending.until.isoformat()}
    _publish(session, store.ASKED, request.flag, ChangeContext(now, actor, pending.reason), after=after)
    message = messages.of_request(
        request.flag, request.alert, actor=actor, reason=pending.reason, until=pending.until, now=now
    )
    outbox.enqueue(session, message, now=now)
    return pending


def _is_one_person(session: Session, first: str, second: str, now: datetime) -> bool:
    """Return whether one person stands behind both names: nobody becomes a second owner by a token of their own.

    Nor by an account that either of them gave access to of late, or that somebody else did to both: raises Problem.
    """
    requester, granter = (approvals.principal(session, actor, at=now) for actor in (first, second))
    if requester.people & granter.people:
        return True
    if shared := granter.common_with(requester):
        detail = f"{first} asked for it, and a second owner is needed. {shared_access_sentence(second, *shared)}"
        raise Problem(409, "ACCESS_SHARED", detail)
    return False


def _rule(rules: Sequence[Rule], request: OverrideRequest) -> Rule:
    found = next((rule for rule in with_environments(rules, [request.flag]) if _is_wished(rule, request)), None)
    if found is None:
        raise Problem(404, "ALERT_NOT_FOUND", f"alerts.yaml has no alert {request.alert!r} of {request.flag}.")
    return found


def _is_wished(rule: Rule, request: OverrideRequest) -> bool:
    return (rule.flag, rule.name) == (request.flag, request.alert)


def _check(rule: Rule, request: OverrideRequest) -> None:
    if rule.tripwire:
        sentence = f"{rule.name} is a tripwire: one event is proof, and nobody may overrule that."
        raise Problem(409, "TRIPWIRE", sentence)
    if not 1 <= request.minutes <= LONGEST.total_seconds() // 60:
        raise Problem(422, "INVALID_DURATION", f"An override lasts 1 to 60 minutes, not {request.minutes}.")
    require_reason(request.reason)


def _publish(session: Session, action: str, flag: str, change: ChangeContext, *, after: dict[str, object]) -> None:
    audit.record(session, change, action=action, subject=f"rollout:{flag}", after=after)
    change_feed.publish(session, rollouts.TOPIC, flag, now=change.now)
