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
from control_plane.change_context import ChangeContext
from control_plane.core.gates.approvals import shared_access_sentence
from control_plane.platform.auth import audit
from control_plane.platform.identity_types import Role
from control_plane.platform.problems import Problem
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
    session: Session, rules: Sequence[Rule], wish: OverrideRequest, *, now: datetime, actor: str
) -> Override | PendingOverride:
    """Let the alert notify only until the time is up; one that stands already is replaced.

    The first wish for a critical alert only asks. Raises Problem.
    """
    rollout = rollouts.find(session, wish.flag)
    rule = _rule(rules, wish)
    _check(rule, wish)
    if rollout.latched:
        words = "The rollout is rolled back already, which no override undoes; re-arm it instead."
        raise Problem(409, "ROLLED_BACK", words)
    asked = store.pending(session, wish.flag, wish.alert, attempt=rollout.attempt, since=now - ASKED_FOR)
    if asked is not None and not approvals.still_counts(session, wish.flag, asked.actor, Role.OWNER):
        asked = None  # who asked was locked out since, or is no owner any more
    if rule.severity is Severity.CRITICAL and (asked is None or _is_one_person(session, asked.actor, actor, now)):
        return _ask(session, wish, attempt=rollout.attempt, now=now, actor=actor)
    store.end(session, wish.flag, wish.alert, now=now, actor=actor)
    until = now + timedelta(minutes=wish.minutes)
    granted = Override(wish.flag, wish.alert, rollout.attempt, actor, wish.reason.strip(), now, until)
    store.add(session, granted)
    after = {
        "alert": wish.alert,
        "attempt": rollout.attempt,
        "expires_at": granted.expires_at.isoformat(),
        "asked_by": asked.actor if asked else None,
    }
    _publish(session, "alert.override", wish.flag, ChangeContext(now, actor, granted.reason), after=after)
    message = messages.of_override(
        wish.flag, wish.alert, actor=actor, reason=granted.reason, expires_at=granted.expires_at, now=now
    )
    outbox.enqueue(session, message, now=now)
    return granted


def end(session: Session, flag: str, alert: str, *, now: datetime, actor: str, reason: str) -> None:
    """Let the alert act again. Raises Problem when no override stands."""
    if not store.end(session, flag, alert, now=now, actor=actor):
        raise Problem(404, "OVERRIDE_NOT_FOUND", f"No override of {alert!r} stands for {flag}.")
    _publish(session, "alert.override_end", flag, ChangeContext(now, actor, reason), after={"alert": alert})


def _ask(session: Session, wish: OverrideRequest, *, attempt: int, now: datetime, actor: str) -> PendingOverride:
    """Put the wish where a second owner finds it."""
    asked = PendingOverride(wish.flag, wish.alert, actor, wish.reason.strip(), now + ASKED_FOR)
    after = {"alert": wish.alert, "attempt": attempt, "minutes": wish.minutes, "until": asked.until.isoformat()}
    _publish(session, store.ASKED, wish.flag, ChangeContext(now, actor, asked.reason), after=after)
    message = messages.of_request(wish.flag, wish.alert, actor=actor, reason=asked.reason, until=asked.until, now=now)
    outbox.enqueue(session, message, now=now)
    return asked


def _is_one_person(session: Session, first: str, second: str, now: datetime) -> bool:
    """Return whether one person stands behind both names: nobody becomes a second owner by a token of their own.

    Nor by an account that either of them gave access to of late, or that somebody else did to both: raises Problem.
    """
    asked, granted = (approvals.principal(session, actor, at=now) for actor in (first, second))
    if asked.people & granted.people:
        return True
    if shared := granted.common_with(asked):
        detail = f"{first} asked for it, and a second owner is needed. {shared_access_sentence(second, *shared)}"
        raise Problem(409, "ACCESS_SHARED", detail)
    return False


def _rule(rules: Sequence[Rule], wish: OverrideRequest) -> Rule:
    found = next((rule for rule in with_environments(rules, [wish.flag]) if _is_wished(rule, wish)), None)
    if found is None:
        raise Problem(404, "ALERT_NOT_FOUND", f"alerts.yaml has no alert {wish.alert!r} of {wish.flag}.")
    return found


def _is_wished(rule: Rule, wish: OverrideRequest) -> bool:
    return (rule.flag, rule.name) == (wish.flag, wish.alert)


def _check(rule: Rule, wish: OverrideRequest) -> None:
    if rule.tripwire:
        words = f"{rule.name} is a tripwire: one event is proof, and nobody may overrule that."
        raise Problem(409, "TRIPWIRE", words)
    if not 1 <= wish.minutes <= LONGEST.total_seconds() // 60:
        raise Problem(422, "INVALID_DURATION", f"An override lasts 1 to 60 minutes, not {wish.minutes}.")
    if not wish.reason.strip():
        raise Problem(422, "REASON_REQUIRED", "Say why: a reason is required.")


def _publish(session: Session, action: str, flag: str, change: ChangeContext, *, after: dict[str, object]) -> None:
    audit.record(session, change, action=action, subject=f"rollout:{flag}", after=after)
    change_feed.publish(session, rollouts.TOPIC, flag, now=change.now)
