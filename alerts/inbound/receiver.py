"""The use case: a notification is stored alert by alert and what it asks for is done, in one transaction."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from alerts.analysis.rules import Rule
from alerts.inbound import store
from alerts.inbound.decision import ACTING, AlertContext, Reply, Response, reply
from alerts.inbound.payload import Alert, Notification
from alerts.inbound.store import Known
from alerts.overrides import store as overrides
from control_plane import rollouts
from control_plane.change_context import ChangeContext, Evidence
from control_plane.core.phases import Rollout
from control_plane.core.transitions import Decision, Refusal
from control_plane.rollout_names import flag_of
from control_plane.rollouts import store as rollout_store

ATTEMPTS = 3

log = structlog.get_logger()


class LostRaceError(RuntimeError):
    """The rollout was changed by others each time we tried; the sender should try again."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """The context shared by every alert of one notification."""

    rules: Sequence[Rule]
    actor: str
    now: datetime
    also_known: Collection[str] = ()

    def rule(self, alert: Alert) -> Rule | None:
        """Return the rule of ours that `alert` speaks of."""
        return next((rule for rule in self.rules if (rule.name, rule.flag) == (alert.name, alert.flag)), None)


def receive(session: Session, notification: Notification, receiver: Receiver) -> list[tuple[Alert, Reply]]:
    """Store and act; the same notification again changes nothing. Raises LostRaceError."""
    # Sorted, and all before anything else is locked: two posts of the same alerts must not wait in a circle.
    known = {
        alert.key: store.receive(session, alert, now=receiver.now)
        for alert in sorted(notification.alerts, key=lambda alert: alert.key)
    }
    _lock(session, notification)
    replies = [(alert, _respond(session, alert, known[alert.key], receiver)) for alert in notification.alerts]
    if notification.incomplete:
        _hold_incomplete(session, notification, receiver)
    return replies


def _lock(session: Session, notification: Notification) -> None:
    """Keep everybody else from changing what one of several alerts may change, before anything is published.

    Whoever publishes waits for all who did, so a lock that is taken after it could be waited for in a circle.
    """
    everything = notification.incomplete and not notification.flags
    for rollout in rollout_store.load_all(session):
        if everything or flag_of(rollout.flag) in notification.flags:
            rollout_store.lock(session, rollout.flag)


def _respond(session: Session, alert: Alert, known: Known, receiver: Receiver) -> Reply:
    rollout = rollout_store.load(session, alert.flag) if alert.flag else None
    context = AlertContext(
        rollout=rollout,
        attempt_began=store.attempt_started_at(session, alert.flag) if rollout else None,
        rule=receiver.rule(alert),
        acted_upon=rollout is not None and known.acted_upon_in(rollout.attempt),
        overridden=rollout is not None and _overridden(session, rollout, alert, receiver.now),
    )
    answer = reply(alert, context, also_known=receiver.also_known)
    if answer.response in ACTING or known.response not in ACTING:
        store.set_response(session, alert, answer, attempt=rollout.attempt if rollout else None)
    if rollout is not None:
        _act(session, rollout, alert, answer, receiver)
    log.info("alertmanager.received", alert=alert.name, flag=alert.flag, response=answer.response, reason=answer.reason)
    return answer


def _overridden(session: Session, rollout: Rollout, alert: Alert, now: datetime) -> bool:
    return alert.name in overrides.active(session, rollout.flag, attempt=rollout.attempt, now=now)


def _act(session: Session, rollout: Rollout, alert: Alert, answer: Reply, receiver: Receiver) -> None:
    evidence: Evidence = {
        "source": "alertmanager",
        "alert": alert.name,
        "fingerprint": alert.key[0],
        "starts_at": alert.startsAt.isoformat(),
        "severity": alert.severity,
        "annotations": alert.annotations,
        "generator": alert.generatorURL,
        "attribution": "unknown",
    }
    match answer.response:
        case Response.ROLLBACK:
            _retry_on_conflict(
                lambda: rollouts.roll_back(
                    session,
                    rollout.flag,
                    ChangeContext(receiver.now, receiver.actor, answer.reason, evidence=evidence),
                    attempt=rollout.attempt,
                )
            )
        case Response.HOLD:
            _hold(session, rollout.flag, receiver, reason=answer.reason, evidence=evidence)
        case Response.NOTED | Response.UNKNOWN:
            pass


def _retry_on_conflict(change: Callable[[], Decision]) -> None:
    """Repeat what lost a race: somebody's advance at the same moment must not swallow a rollback."""
    for _ in range(ATTEMPTS):
        decision = change()
        if not isinstance(decision, Refusal) or all(reason.code != "VERSION_CONFLICT" for reason in decision.reasons):
            return
    raise LostRaceError("The rollout was changed by somebody else each time this was tried.")


def _hold_incomplete(session: Session, notification: Notification, receiver: Receiver) -> None:
    """Hold every flag named, or every rollout if none is: an alert that was left out may be critical."""
    left_out = notification.truncatedAlerts
    reason = f"Alertmanager left {left_out} alerts out of a notification; nobody knows what they say."
    evidence: Evidence = {"source": "alertmanager", "truncated_alerts": left_out, "group": notification.groupKey}
    for rollout in rollout_store.load_all(session):
        if not notification.flags or rollout.flag in notification.flags:
            _hold(session, rollout.flag, receiver, reason=reason, evidence=evidence)


def _hold(session: Session, flag: str, receiver: Receiver, *, reason: str, evidence: Evidence) -> None:
    _retry_on_conflict(
        lambda: rollouts.hold(session, flag, ChangeContext(receiver.now, receiver.actor, reason, evidence=evidence))
    )
