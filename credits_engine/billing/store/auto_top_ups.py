"""All SQL of automatic top-ups: what accounts want, and their orders."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import delete, func, insert, or_, select, update
from sqlalchemy.orm import Session

from control_plane.platform.db.database import rowcount_of
from credits_engine.billing.models import AUTO_TOP_UPS, TOP_UP_OPEN, TOP_UP_ORDERS
from credits_engine.store.tables import ResultRow, insert_if_absent, inserted

ADD = insert_if_absent(AUTO_TOP_UPS)
WANTED = select(AUTO_TOP_UPS)


def page(session: Session, *, after: str, most: int) -> list[ResultRow]:
    """Return the wishes of the accounts after `after` that were not stopped."""
    query = WANTED.where(AUTO_TOP_UPS.c.user_id > after, AUTO_TOP_UPS.c.stopped_at.is_(None))
    return list(session.execute(query.order_by(AUTO_TOP_UPS.c.user_id).limit(most)))


def find(session: Session, user_id: str, *, lock: bool = False) -> ResultRow | None:
    """Return what an account wants; None where it wants nothing by itself."""
    query = WANTED.where(AUTO_TOP_UPS.c.user_id == user_id)
    return session.execute(query.with_for_update() if lock else query).one_or_none()


def put(session: Session, user_id: str, columns: Mapping[str, object]) -> None:
    """Write what an account wants in place of what it wanted; what had stopped goes on."""
    row = {**columns, "stopped_at": None, "stopped_reason": None}
    if not inserted(session, ADD, {"user_id": user_id, **row}):
        session.execute(update(AUTO_TOP_UPS).where(AUTO_TOP_UPS.c.user_id == user_id).values(**row))


def remove(session: Session, user_id: str) -> bool:
    """Forget what an account wants; False where it wanted nothing."""
    return rowcount_of(session, delete(AUTO_TOP_UPS).where(AUTO_TOP_UPS.c.user_id == user_id)) == 1


def stop(session: Session, user_id: str, *, set_before: datetime, now: datetime, reason: str) -> bool:
    """Stop what was wanted when an order was made; False where the account has said something else since."""
    wanted = AUTO_TOP_UPS.c.user_id == user_id, AUTO_TOP_UPS.c.updated_at <= set_before
    statement = update(AUTO_TOP_UPS).where(*wanted, AUTO_TOP_UPS.c.stopped_at.is_(None))
    return rowcount_of(session, statement.values(stopped_at=now, stopped_reason=reason)) == 1


def orders_since(session: Session, user_id: str, since: datetime) -> list[ResultRow]:
    """Return an account's orders since a moment, and whichever is still open."""
    query = select(TOP_UP_ORDERS).where(
        TOP_UP_ORDERS.c.user_id == user_id, or_(TOP_UP_ORDERS.c.ordered_at >= since, TOP_UP_OPEN)
    )
    return list(session.execute(query.order_by(TOP_UP_ORDERS.c.id)))


def latest_orders(session: Session, user_id: str, *, most: int) -> list[ResultRow]:
    """Return an account's newest orders, the newest first."""
    query = select(TOP_UP_ORDERS).where(TOP_UP_ORDERS.c.user_id == user_id)
    return list(session.execute(query.order_by(TOP_UP_ORDERS.c.id.desc()).limit(most)))


def next_number(session: Session, user_id: str, period_start: datetime) -> int:
    """Return the number of the next order in a period; the caller has locked what the account wants."""
    own = TOP_UP_ORDERS.c.user_id == user_id, TOP_UP_ORDERS.c.period_start == period_start
    return int(session.scalar(select(func.coalesce(func.max(TOP_UP_ORDERS.c.number), 0)).where(*own)) or 0) + 1


def add_order(session: Session, row: Mapping[str, object]) -> None:
    """Add an order, due at once."""
    session.execute(insert(TOP_UP_ORDERS).values(**row, attempts=0))


def due(session: Session, now: datetime, *, most: int) -> Sequence[ResultRow]:
    """Return open orders that something is to be done about, the one that has waited longest first."""
    query = select(TOP_UP_ORDERS).where(TOP_UP_OPEN, TOP_UP_ORDERS.c.next_at <= now)
    return list(session.execute(query.order_by(TOP_UP_ORDERS.c.next_at).limit(most)))


def claim(session: Session, order: tuple[str, int], attempts: int, *, until: datetime) -> bool:
    """Take an order for this process until then; False when another one took it first."""
    return _set(session, order, attempts, {"attempts": attempts + 1, "next_at": until})


def move(session: Session, order: tuple[str, int], attempts: int, values: Mapping[str, object]) -> bool:
    """Write how a claimed order goes on; False when it is not this process's any more."""
    return _set(session, order, attempts, values)


def transfer(session: Session, user_id: str, into: str) -> None:
    """Let what an account wants, and its orders, be another's; what that one wants itself stays as it is."""
    wanted = session.execute(WANTED.where(AUTO_TOP_UPS.c.user_id == user_id).with_for_update()).mappings().one_or_none()
    if wanted is not None:
        inserted(session, ADD, {**wanted, "user_id": into})
        remove(session, user_id)
    # Orders count on, so that no bound of a period is passed; their keys at Stripe stay.
    rows = session.execute(select(TOP_UP_ORDERS).where(TOP_UP_ORDERS.c.user_id == user_id)).mappings().all()
    session.execute(delete(TOP_UP_ORDERS).where(TOP_UP_ORDERS.c.user_id == user_id))
    for row in rows:
        number = next_number(session, into, row["period_start"])
        session.execute(insert(TOP_UP_ORDERS).values({**row, "user_id": into, "number": number}))


def _set(session: Session, order: tuple[str, int], attempts: int, values: Mapping[str, object]) -> bool:
    user_id, number = order
    own = TOP_UP_ORDERS.c.user_id == user_id, TOP_UP_ORDERS.c.id == number
    statement = update(TOP_UP_ORDERS).where(*own, TOP_UP_ORDERS.c.attempts == attempts, TOP_UP_OPEN)
    return rowcount_of(session, statement.values(**values)) == 1
