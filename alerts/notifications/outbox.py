"""Writing notifications: in the transaction of what they tell, so that neither happens without the other."""

from dataclasses import replace
from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from alerts.drill.flag import FLAG as DRILL
from alerts.notifications import messages, store, targets
from alerts.notifications.messages import ChangeDetails, Message
from control_plane.experiments.registry import names_of
from control_plane.rollouts import RolloutChanged
from control_plane.rollouts import store as rollout_store

log = structlog.get_logger()


def enqueue(session: Session, message: Message, *, now: datetime, without: str = "") -> bool:
    """Put a message into the outbox for every target of its rollout but `without`; False when it was told before."""
    rollout = rollout_store.load(session, message.flag)
    names = rollout.plan.notify if rollout else ()
    chosen = [(target, label) for target, label in targets.targets(names) if target != without]
    return store.add(session, message, chosen, now=now)


def enqueue_change(session: Session, change: RolloutChanged) -> None:
    """Put what people are to know of a change of a rollout into the outbox."""
    message = _message(change)
    if message and change.after.flag != DRILL:
        enqueue(session, message, now=change.context.now)


def _message(change: RolloutChanged) -> Message | None:
    """Return the words for a change. A rollback must not fail because its evidence could not be put into words."""
    names = names_of(change.after.flag)
    context = change.context
    details = ChangeDetails(
        change.action, change.after, context.now, context.actor, context.reason, context.evidence or {}, names
    )
    try:
        return messages.change_message(details)
    except Exception:
        log.exception("notice.not_worded", flag=change.after.flag, action=change.action)
        return messages.change_message(replace(details, evidence={}))
