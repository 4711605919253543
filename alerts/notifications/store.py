"""All SQL of the outbox."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Integer, bindparam, func, select, update
from sqlalchemy.orm import Session

from alerts.models import Notice, NoticeDelivery
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
        *(NoticeDelivery.notice_id, NoticeDelivery.target, NoticeDelivery.label, NoticeDelivery.attempts),
        *(Notice.kind, Notice.flag, Notice.title, Notice.body),
    )
    .join(Notice, Notice.id == NoticeDelivery.notice_id)
    .where(NoticeDelivery.state == State.PENDING.value)
    .where(NoticeDelivery.next_try_at <= bindparam("now", type_=NoticeDelivery.next_try_at.type))
    .order_by(NoticeDelivery.next_try_at, NoticeDelivery.notice_id)
    .limit(bindparam("most", type_=Integer))
)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A notice due at one target."""

    notice_id: int
    target: str
    label: str
    attempts: int
    kind: str
    flag: str
    title: str
    body: str


def add(session: Session, message: Message, targets: Sequence[tuple[str, str]], *, now: datetime) -> bool:
    """Put a message into the outbox for each (target, label); False when its key is there already."""
    fresh = dialect_insert(session, Notice).values(
        key=message.key, kind=message.kind, flag=message.flag, title=message.title, body=message.body, at=now
    )
    notice_id = session.scalar(fresh.on_conflict_do_nothing(index_elements=["key"]).returning(Notice.id))
    if notice_id is None:
        return False
    session.add_all(
        NoticeDelivery(
            notice_id=notice_id, target=target, label=label, state=State.PENDING.value, attempts=0, next_try_at=now
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


def latest(session: Session, *, limit: int = 50) -> list[tuple[Notice, list[NoticeDelivery]]]:
    """Return the newest notices with their deliveries."""
    notices = session.scalars(select(Notice).order_by(Notice.id.desc()).limit(limit)).all()
    ids = [notice.id for notice in notices]
    found = session.scalars(select(NoticeDelivery).where(NoticeDelivery.notice_id.in_(ids))).all()
    return [(notice, [each for each in found if each.notice_id == notice.id]) for notice in notices]


def by_state(session: Session) -> dict[str, int]:
    """Count the deliveries in every state."""
    number = func.count().label("number")
    found = session.execute(select(NoticeDelivery.state, number).group_by(NoticeDelivery.state))
    counted = {row.state: row.number for row in found}
    return {state.value: counted.get(state.value, 0) for state in State}


def _set(session: Session, delivery: Delivery, *, attempts: int, values: Mapping[str, object]) -> bool:
    statement = (
        update(NoticeDelivery)
        .where(
            NoticeDelivery.notice_id == delivery.notice_id,
            NoticeDelivery.target == delivery.target,
            NoticeDelivery.state == State.PENDING.value,
            NoticeDelivery.attempts == attempts,
        )
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    return rowcount_of(session, statement) == 1
