"""Queries of the migration to v2 and of the retirement of legacy.

Users in order, what legacy counted beyond the journal, periods that contradict; the state of the retirement, its
preconditions, and legacy's book row by row.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, bindparam, delete, func, or_, select, update
from sqlalchemy.orm import Session

from control_plane.platform.db.database import execute_core, rowcount_of
from credits_engine.amount_types import amount_of, per_kinds, summed
from credits_engine.engines.amounts import KINDS, Amounts
from credits_engine.engines.comparison import Variance
from credits_engine.engines.decisions import EngineName
from credits_engine.store.journal import DIFFERS
from credits_engine.store.tables import COUNTERS, JOURNAL, LEGACY, PACKS, RETIREMENT, USERS, insert_if_absent, inserted

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


ONLY = 1
PAGE_ROWS = 1_000
AGAINST_RETIREMENT = (Variance.DEFECT, Variance.SHADOW_ERROR, Variance.SHADOW_SKIPPED, Variance.SERVED_ERROR)
RETIRE = insert_if_absent(RETIREMENT)
NEWEST_OF = (
    select(JOURNAL.c.id, JOURNAL.c.occurred_at)
    .where(JOURNAL.c.variance == bindparam("variance"), DIFFERS)
    .order_by(JOURNAL.c.id.desc())
    .limit(1)
)
LATEST_ENGINES = select(JOURNAL.c.served_engine).order_by(JOURNAL.c.id.desc()).limit(bindparam("most")).subquery()
BY_LEGACY = (
    select(func.count()).select_from(LATEST_ENGINES).where(LATEST_ENGINES.c.served_engine == EngineName.LEGACY.value)
)
ROWS_AFTER = (
    select(LEGACY)
    .where(
        or_(
            LEGACY.c.user_id > bindparam("user"),
            (LEGACY.c.user_id == bindparam("user"))
            & (LEGACY.c.month_start > bindparam("month", type_=LEGACY.c.month_start.type)),
        )
    )
    .order_by(LEGACY.c.user_id, LEGACY.c.month_start)
    .limit(PAGE_ROWS)
)
FIRST_ROWS = select(LEGACY).order_by(LEGACY.c.user_id, LEGACY.c.month_start).limit(PAGE_ROWS)


@dataclass(frozen=True, slots=True)
class Retired:
    """Since when, by whom and why; and where the archive is, once there is one."""

    at: datetime
    actor: str
    reason: str
    archived_at: datetime | None
    archive: str | None


def find_retirement(session: Session) -> Retired | None:
    """Return how legacy was retired; None while it is in use."""
    row = execute_core(session, select(RETIREMENT)).one_or_none()
    return None if row is None else Retired(row.retired_at, row.actor, row.reason, row.archived_at, row.archive)


def retire(session: Session, *, now: datetime, actor: str, reason: str) -> bool:
    """Note that legacy is retired; False when it was already."""
    row = {"id": ONLY, "retired_at": now, "actor": actor, "reason": reason, "archived_at": None, "archive": None}
    return inserted(session, RETIRE, row)


def reinstate(session: Session) -> bool:
    """Take that back; False when it was not retired, or is archived."""
    return rowcount_of(session, delete(RETIREMENT).where(RETIREMENT.c.archived_at.is_(None))) == 1


def record_archive(session: Session, archive: str, *, now: datetime) -> bool:
    """Note where the archive is; False when legacy is not retired, or was archived before."""
    change = update(RETIREMENT).where(RETIREMENT.c.archived_at.is_(None)).values(archived_at=now, archive=archive)
    return rowcount_of(session, change) == 1


def newest_open(session: Session) -> dict[Variance, datetime]:
    """Return when each class of variance that speaks against the engines was last seen. Reads one row of each."""
    found = {
        variance: execute_core(session, NEWEST_OF, {"variance": variance.value}).one_or_none()
        for variance in AGAINST_RETIREMENT
    }
    return {variance: row.occurred_at for variance, row in found.items() if row is not None}


def served_by_legacy(session: Session, *, most: int) -> int:
    """Count the rows that legacy served among the `most` latest."""
    return int(execute_core(session, BY_LEGACY, {"most": most}).scalar_one())


def legacy_rows(session: Session) -> Iterator[tuple[str, datetime, Amounts]]:
    """Yield every row of legacy's book in the order of its key, a page at a time."""
    page = execute_core(session, FIRST_ROWS).all()
    # By the key of the last row and not by an offset: rows that are written meanwhile shift no page.
    while page:
        yield from ((row.user_id, row.month_start, row.used) for row in page)
        page = execute_core(session, ROWS_AFTER, {"user": page[-1].user_id, "month": page[-1].month_start}).all()
