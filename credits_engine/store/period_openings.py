"""Many users at a time whose running period nobody has opened: locked against others, looked at, opened."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ARRAY, Text, bindparam, func, select
from sqlalchemy.orm import Session

from control_plane.platform.db.database import execute_core, is_postgresql
from control_plane.platform.db.fastpath import CompiledStatement
from credits_engine.engines.credit_plan import CreditPlan
from credits_engine.engines.periods import Period
from credits_engine.store.books import (
    OPEN_MONTH,
    OPEN_PERIOD,
    OPENINGS,
    last_end,
    next_start,
    unused_month,
    unused_period,
)
from credits_engine.store.tables import USERS, ResultRow


@dataclass(frozen=True, slots=True)
class MissingPeriod:
    """A user without a running period: where the last one ended, and where one begins that is open already."""

    user_id: str
    plan: str
    billing_anchor: datetime | None
    ended_at: datetime | None
    next_starts_at: datetime | None


@dataclass(frozen=True, slots=True)
class Page:
    """Users without a running period, and where to go on; empty at the end of the directory."""

    users: tuple[str, ...]
    last: str


# Whatever the planner knows of the periods: joined to them, a page once read all of everybody's.
LAST_END = last_end(USERS.c.user_id).label("ended_at")
NEXT_USERS = (
    select(USERS.c.user_id, LAST_END)
    .where(USERS.c.user_id > bindparam("after"))
    .order_by(USERS.c.user_id)
    .limit(bindparam("page"))
)
USER_IDS = func.unnest(bindparam("users", type_=ARRAY(Text))).column_valued("user_id")
LOCK = CompiledStatement(select(func.pg_advisory_xact_lock(func.hashtextextended(USER_IDS, OPENINGS))))
NEIGHBOURS_OF = select(
    USERS.c.user_id, USERS.c.plan, USERS.c.billing_anchor, LAST_END, next_start(USERS.c.user_id).label("next_start")
).where(USERS.c.user_id.in_(bindparam("users", expanding=True)))


def without_period(session: Session, *, after: str, now: datetime, page: int) -> Page:
    """Return those of the next `page` users after this one without a running period, in the directory's order."""
    rows = execute_core(session, NEXT_USERS, {"after": after, "now": now, "page": page}).all()
    missing = tuple(row.user_id for row in rows if not _runs(row, now))
    return Page(missing, rows[-1].user_id if len(rows) == page else "")


def lock_missing(session: Session, user_ids: Sequence[str], now: datetime) -> list[MissingPeriod]:
    """Return who of `user_ids` has no running period; until the transaction ends nobody else opens one for any of them.

    `user_ids` are in the directory's order: two who lock the same users do it in the same order.
    """
    if is_postgresql(session):
        LOCK.fetch_all(session, {"users": list(user_ids)})
    found = execute_core(session, NEIGHBOURS_OF, {"users": list(user_ids), "now": now})
    return [_missing(row) for row in found if not _runs(row, now)]


def open_each(session: Session, periods: Sequence[tuple[str, Period, CreditPlan]], month: Period) -> None:
    """Create v2's row of each user's period with nothing used, and legacy's row of `month` where there is none."""
    OPEN_PERIOD.execute_many(session, [unused_period(*each) for each in periods])
    OPEN_MONTH.execute_many(session, [unused_month(user_id, month.start) for user_id, _, _ in periods])


def _runs(row: ResultRow, now: datetime) -> bool:
    return row.ended_at is not None and row.ended_at > now


def _missing(row: ResultRow) -> MissingPeriod:
    return MissingPeriod(row.user_id, row.plan, row.billing_anchor, row.ended_at, row.next_start)
