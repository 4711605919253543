"""Writing notices: in the transaction of what they tell, so that neither happens without the other."""

from dataclasses import replace
from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from alerts.drill.flag import FLAG as DRILL
from alerts.notices import store, targets, wording
from alerts.notices.wording import Happening, Message
from control_plane import rollouts
from control_plane.rollouts import RolloutChanged

log = structlog.get_logger()


def tell(session: Session, message: Message, *, now: datetime, without: str = "") -> bool:
    """Put a message into the outbox for every target but `without`; False when it was told before."""
    chosen = [(target, label) for target, label in targets.targets() if target != without]
    return store.add(session, message, chosen, now=now)


def init_app() -> None:
    """Tell people of every change of a rollout; call it inside an application context."""
    rollouts.on_change("notices", _witness)


def _witness(session: Session, change: RolloutChanged) -> None:
    message = _message(change)
    if message and change.after.flag != DRILL:
        tell(session, message, now=change.now)


def _message(change: RolloutChanged) -> Message | None:
    """The words for a change. A rollback must not fail because its evidence could not be put into words."""
    happening = Happening(change.action, change.after, change.now, change.actor, change.reason, change.evidence)
    try:
        return wording.of_change(happening)
    except Exception:
        log.exception("notice.not_worded", flag=change.after.flag, action=change.action)
        return wording.of_change(replace(happening, evidence={}))
