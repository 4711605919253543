"""All SQL of the webhooks about usage: what is to be told, and the deliveries of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    bindparam,
    func,
    insert,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.orm import Session

from control_plane.platform.db.database import Base, UtcDateTime, execute_core, rowcount_of
from control_plane.platform.models import RowId
from credits_engine.amount_types import amount_of, per_kinds
from credits_engine.engines.amounts import KINDS
from credits_engine.store import running_totals
from credits_engine.store.tables import COUNTERS, JOURNAL, ResultRow, insert_if_absent, inserted

PENDING = text("state = 'pending'")
WEBHOOKS = Table(
    "usage_webhook",
    Base.metadata,
    Column("id", RowId, autoincrement=True),
    *(Column(name, Text, nullable=False) for name in ("user_id", "event", "kind")),
    Column("percent", Integer, nullable=False),
    Column("since", UtcDateTime, nullable=False),
    Column("engine", Text, nullable=False),
    *(Column(name, BigInteger, nullable=False) for name in ("used", "granted")),
    Column("occurred_at", UtcDateTime, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_try_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    Column("error", Text),
    PrimaryKeyConstraint("user_id", "id"),
    UniqueConstraint("user_id", "event", "kind", "percent", "since", "granted"),
    Index("ix_usage_webhook_pending", "next_try_at", sqlite_where=PENDING, postgresql_where=PENDING),
)
"""What the product is told, once for each limit. `since` is the period of a threshold, and the hour of a refusal."""
CHECKPOINT = Table(
    "usage_webhook_mark",
    Base.metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    *(Column(name, BigInteger, nullable=False) for name in ("journal_id", "pending_id", "pending_until")),
)
ADD = insert_if_absent(WEBHOOKS)
PAGE = 500


class State(StrEnum):
    """The state of a delivery. A `dead` one is not tried again."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"


def next_rows(session: Session) -> list[ResultRow]:
    """Return the operations of the journal that were not looked at yet and that no lower number can join any more.

    The first call begins at the end of the journal: what happened before anybody was to be told is not told.
    """
    checkpoint = session.execute(select(CHECKPOINT).with_for_update()).one_or_none()
    if checkpoint is None:
        newest = session.scalar(select(func.coalesce(func.max(JOURNAL.c.id), 0)))
        session.execute(insert(CHECKPOINT).values(id=1, journal_id=newest, pending_id=newest, pending_until=0))
        return []
    moved = running_totals.advance_checkpoint(session, checkpoint)
    values = {"journal_id": moved["reached"], "pending_id": moved["pending"], "pending_until": moved["until"]}
    session.execute(update(CHECKPOINT).values(**values))
    query = select(JOURNAL).where(
        JOURNAL.c.id > checkpoint.journal_id,
        JOURNAL.c.id <= moved["reached"],
        JOURNAL.c.type.in_(("consume", "reserve")),
    )
    return list(session.execute(query.order_by(JOURNAL.c.id)))


def add(session: Session, row: Mapping[str, object], *, now: datetime) -> bool:
    """Put one thing to be told into the outbox; False when it is there already."""
    return inserted(session, ADD, {**row, "state": State.PENDING.value, "attempts": 0, "next_try_at": now})


def copy_events(
    session: Session, user_id: str, into: str, begun: Mapping[datetime, datetime], *, now: datetime
) -> None:
    """Note what was told of a user in their running periods as told of another one, by the starts of either's."""
    query = select(WEBHOOKS).where(WEBHOOKS.c.user_id == user_id, WEBHOOKS.c.since.in_(begun))
    for row in session.execute(query).mappings().all():
        copied = {name: value for name, value in row.items() if name not in ("id", "state")}
        changed = {"user_id": into, "since": begun[row["since"]], "finished_at": row["finished_at"] or now}
        inserted(session, ADD, {**copied, **changed, "state": State.DELIVERED.value})


def due(session: Session, now: datetime, *, most: int) -> list[ResultRow]:
    """Return the deliveries that are due, the oldest first."""
    query = select(WEBHOOKS).where(WEBHOOKS.c.state == State.PENDING.value, WEBHOOKS.c.next_try_at <= now)
    return list(session.execute(query.order_by(WEBHOOKS.c.next_try_at, WEBHOOKS.c.id).limit(most)))


def claim(session: Session, row: ResultRow, *, retry_at: datetime) -> bool:
    """Take a delivery for this process; False when another one took it first, which then delivers it."""
    return _set(session, row, row.attempts, attempts=row.attempts + 1, next_try_at=retry_at)


def finish(session: Session, row: ResultRow, state: State, *, now: datetime, error: str | None = None) -> bool:
    """Write how a claimed delivery ended; False when it is not this process's any more."""
    finished_at = None if state is State.PENDING else now
    return _set(session, row, row.attempts + 1, state=state.value, finished_at=finished_at, error=error)


def by_state(session: Session) -> dict[str, int]:
    """Count the deliveries in every state."""
    found = session.execute(select(WEBHOOKS.c.state, func.count().label("number")).group_by(WEBHOOKS.c.state))
    counted = {row.state: row.number for row in found}
    return {state.value: counted.get(state.value, 0) for state in State}


@dataclass(frozen=True, slots=True)
class NearLimit:
    """A user who has used most of a limit of their running period."""

    user_id: str
    plan: str
    kind: str
    used: int
    limit: int
    period_end: datetime


NEAR = per_kinds(
    lambda: (
        select(COUNTERS)
        .where(
            COUNTERS.c.period_start <= bindparam("now"),
            COUNTERS.c.period_end > bindparam("now"),
            COUNTERS.c.user_id > bindparam("after"),
            or_(
                *(
                    (amount_of(COUNTERS.c.used, kind) > 0)
                    & (
                        amount_of(COUNTERS.c.used, kind) * 100
                        >= amount_of(COUNTERS.c.limits, kind) * bindparam("percent", type_=BigInteger)
                    )
                    for kind in KINDS
                )
            ),
        )
        .order_by(COUNTERS.c.user_id)
        .limit(PAGE)
    )
)


def near_limit(session: Session, *, percent: int, after: str, most: int, now: datetime) -> Sequence[NearLimit]:
    """Return the first users after `after` who have used so many percent of a limit of v2, with each such kind."""
    found: list[NearLimit] = []
    users: set[str] = set()
    while rows := list(execute_core(session, NEAR(), {"now": now, "after": after, "percent": percent})):
        for row in rows:
            near = [
                NearLimit(row.user_id, row.plan, kind, used, limit, row.period_end)
                for kind, used, limit in zip(KINDS, row.used.figures, row.limits.figures, strict=False)
                if limit is not None and used and used * 100 >= limit * percent
            ]
            # The database can't tell an unlimited kind from none, so such users came along.
            found += near
            users |= {each.user_id for each in near}
            if len(users) == most:
                return found
        after = rows[-1].user_id
    return found


def _set(session: Session, row: ResultRow, attempts_before: int, **values: object) -> bool:
    own = WEBHOOKS.c.user_id == row.user_id, WEBHOOKS.c.id == row.id
    statement = update(WEBHOOKS).where(
        *own, WEBHOOKS.c.state == State.PENDING.value, WEBHOOKS.c.attempts == attempts_before
    )
    return rowcount_of(session, statement.values(**values)) == 1
