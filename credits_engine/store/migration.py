"""Queries of the migration to v2: users in order, what legacy counted beyond the journal, periods that contradict."""

from datetime import datetime

from sqlalchemy import ColumnElement, bindparam, func, select
from sqlalchemy.orm import Session

from control_plane.platform.db.database import execute_core
from credits_engine.amount_types import amount_of, per_kinds, summed
from credits_engine.engines.amounts import KINDS, Amounts
from credits_engine.store.tables import COUNTERS, JOURNAL, LEGACY, PACKS, USERS

USERS_AFTER = (
    select(USERS.c.user_id)
    .where(USERS.c.user_id > bindparam("after"))
    .order_by(USERS.c.user_id)
    .limit(bindparam("most"))
)
JOURNALLED = per_kinds(
    lambda: select(summed(JOURNAL.c.legacy_posted)).where(
        JOURNAL.c.user_id == bindparam("user_id"), JOURNAL.c.legacy_period_start == bindparam("month_start")
    )
)
NEXT_START = func.lead(COUNTERS.c.period_start).over(partition_by=COUNTERS.c.user_id, order_by=COUNTERS.c.period_start)
PERIODS = select(COUNTERS.c.user_id, COUNTERS.c.period_end, NEXT_START.label("next_start")).subquery()
OVERLAPPING = (
    select(PERIODS.c.user_id).where(PERIODS.c.next_start < PERIODS.c.period_end).distinct().order_by(PERIODS.c.user_id)
)


def users_after(session: Session, after: str, *, most: int) -> list[str]:
    """Return the next users of the directory."""
    return list(execute_core(session, USERS_AFTER, {"after": after, "most": most}).scalars())


def journalled(session: Session, user_id: str, month_start: datetime) -> Amounts:
    """Return what the journal posted to legacy's book of that month."""
    posted: Amounts = execute_core(session, JOURNALLED(), {"user_id": user_id, "month_start": month_start}).scalar_one()
    return posted


def overlapping(session: Session) -> list[str]:
    """Return users of whom two periods overlap."""
    return list(execute_core(session, OVERLAPPING).scalars())


def fingerprint(session: Session) -> dict[str, tuple[int, ...]]:
    """Return rows and sums of journal and books: equal for equal contents of what counts."""
    posted = [*_sums(JOURNAL.c.v2_posted), *_sums(JOURNAL.c.legacy_posted)]
    queries = {
        "journal": select(func.count(), func.max(JOURNAL.c.id), *posted),
        "v2": select(func.count(), *_sums(COUNTERS.c.used)),
        "legacy": select(func.count(), *_sums(LEGACY.c.used)),
        "packs": select(func.count(), func.sum(PACKS.c.remaining)),
    }
    return {
        name: tuple(int(value or 0) for value in execute_core(session, query).one()) for name, query in queries.items()
    }


def _sums(column: ColumnElement[Amounts]) -> list[ColumnElement[int]]:
    return [func.sum(amount_of(column, kind)) for kind in KINDS]
