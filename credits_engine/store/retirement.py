"""Queries of the retirement of legacy: its state, its preconditions, and legacy's book row by row."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, delete, func, or_, select, update
from sqlalchemy.orm import Session

from control_plane.platform.db.database import execute_core, rowcount_of
from credits_engine.engines.amounts import Amounts
from credits_engine.engines.comparison import Variance
from credits_engine.engines.decisions import EngineName
from credits_engine.store.journal import DIFFERS
from credits_engine.store.tables import JOURNAL, LEGACY, RETIREMENT, insert_if_absent, inserted

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
class RetirementRecord:
    """The retirement of legacy: since when, by whom and why; and where the archive is, once there is one."""

    at: datetime
    actor: str
    reason: str
    archived_at: datetime | None
    archive: str | None


def find_retirement(session: Session) -> RetirementRecord | None:
    """Return how legacy was retired; None while it is in use."""
    row = execute_core(session, select(RETIREMENT)).one_or_none()
    return (
        None if row is None else RetirementRecord(row.retired_at, row.actor, row.reason, row.archived_at, row.archive)
    )


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
