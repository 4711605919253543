"""All SQL of the outbox."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Integer, bindparam, func, select, update
from sqlalchemy.orm import Session

from alerts.models import Notification, NotificationDelivery
from alerts.notifications.messages import Message
from control_plane.platform.db.database import dialect_insert, rowcount_of
from control_plane.platform.db.fastpath import CompiledStatement


class State(StrEnum):
    """The state of a delivery. A `dead` one is not tried again."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"


DUE = CompiledStatement(
    select(
        *(
            NotificationDelivery.notification_id,
            NotificationDelivery.target,
            NotificationDelivery.label,
            NotificationDelivery.attempts,
        ),
        *(Notification.kind, Notification.flag, Notification.title, Notification.body),
    )
    .join(Notification, Notification.id == NotificationDelivery.notification_id)
    .where(NotificationDelivery.state == State.PENDING.value)
    .where(NotificationDelivery.next_try_at <= bindparam("now", type_=NotificationDelivery.next_try_at.type))
    .order_by(NotificationDelivery.next_try_at, NotificationDelivery.notification_id)
    .limit(bindparam("most", type_=Integer))
)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A notification due at one target."""

    notification_id: int
    target: str
    label: str
    attempts: int
    kind: str
    flag: str
    title: str
    body: str


def add(session: Session, message: Message, targets: Sequence[tuple[str, str]], *, now: datetime) -> bool:
    """Put a message into the outbox for each (target, label); False when its key is there already."""
    fresh = dialect_insert(session, Notification).values(
        key=message.key, kind=message.kind, flag=message.flag, title=message.title, body=message.body, at=now
    )
    notification_id = session.scalar(fresh.on_conflict_do_nothing(index_elements=["key"]).returning(Notification.id))
    if notification_id is None:
        return False
    session.add_all(
        NotificationDelivery(
            notification_id=notification_id,
            target=target,
            label=label,
            state=State.PENDING.value,
            attempts=0,
            next_try_at=now,
        )
        for target, label in targets
    )
    session.flush()
    return True


def due(session: Session, now: datetime, *, most: int) -> list[Delivery]:
    """Return the deliveries that are due, the oldest first."""
    return [Delivery(*row) for row in DUE.fetch_all(session, {"now": now, "most": most})]


def claim(session: Session, delivery: Delivery, *, retry_at: datetime) -> bool:
    """Take a delivery for this process; False when another one took it first, which then delivers it."""
    return _set(
        session,
        delivery,
        attempts=delivery.attempts,
        values={"attempts": delivery.attempts + 1, "next_try_at": retry_at},
    )


def finish(session: Session, delivery: Delivery, state: State, *, now: datetime, error: str | None = None) -> bool:
    """Note how a claimed delivery ended; False when it is not this process's any more."""
    values = {"state": state.value, "finished_at": now, "error": error}
    return _set(session, delivery, attempts=delivery.attempts + 1, values=values)


def record_failure(session: Session, delivery: Delivery, error: str) -> None:
    """Note why a claimed delivery failed; it stays due."""
    _set(session, delivery, attempts=delivery.attempts + 1, values={"error": error})


def latest(session: Session, *, limit: int = 50) -> list[tuple[Notification, list[NotificationDelivery]]]:
    """Return the newest notifications with their deliveries."""
    notifications = session.scalars(select(Notification).order_by(Notification.id.desc()).limit(limit)).all()
    ids = [notification.id for notification in notifications]
    found = session.scalars(select(NotificationDelivery).where(NotificationDelivery.notification_id.in_(ids))).all()
    return [
        (notification, [each for each in found if each.notification_id == notification.id])
        for notification in notifications
    ]


def by_state(session: Session) -> dict[str, int]:
    """Count the deliveries in every state."""
    number = func.count().label("number")
    found = session.execute(select(NotificationDelivery.state, number).group_by(NotificationDelivery.state))
    counted = {row.state: row.number for row in found}
    return {state.value: counted.get(state.value, 0) for state in State}


def _set(session: Session, delivery: Delivery, *, attempts: int, values: Mapping[str, object]) -> bool:
    statement = (
        update(NotificationDelivery)
        .where(
            NotificationDelivery.notification_id == delivery.notification_id,
            NotificationDelivery.target == delivery.target,
            NotificationDelivery.state == State.PENDING.value,
            NotificationDelivery.attempts == attempts,
        )
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    return rowcount_of(session, statement) == 1
