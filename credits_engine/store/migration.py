"""Queries of the migration to v2: users in order, what legacy counted beyond the journal, periods that contradict."""

from datetime import datetime

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from control_plane.platform.db.database import execute_core
from credits_engine.engines.decisions import Amounts
from credits_engine.store.tables import COUNTERS, JOURNAL, LEGACY, PACKS, USERS

USERS_AFTER = (
    select(USERS.c.user_id)
    .where(USERS.c.user_id > bindparam("after"))
    .order_by(USERS.c.user_id)
    .limit(bindparam("most"))
)
JOURNALLED = select(
    func.coalesce(func.sum(JOURNAL.c.legacy_posted_analysis), 0),
    func.coalesce(func.sum(JOURNAL.c.legacy_posted_roast), 0),
).where(JOURNAL.c.user_id == bindparam("user_id"), JOURNAL.c.legacy_period_start == bindparam("month_start"))
NEXT_START = func.lead(COUNTERS.c.period_start).over(partition_by=COUNTERS.c.user_id, order_by=COUNTERS.c.period_start)
PERIODS = select(COUNTERS.c.user_id, COUNTERS.c.period_end, NEXT_START.label("next_start")).subquery()
OVERLAPPING = (
    select(PERIODS.c.user_id).where(PERIODS.c.next_start < PERIODS.c.period_end).distinct().order_by(PERIODS.c.user_id)
)


def users_after(session: Session, after: str, *, most: int) -> list[str]:
    """The next users of the directory."""
    return list(execute_core(session, USERS_AFTER, {"after": after, "most": most}).scalars())


def journalled(session: Session, user_id: str, month_start: datetime) -> Amounts:
    """Return what the journal posted to legacy's book of that month."""
    analysis, roast = execute_core(session, JOURNALLED, {"user_id": user_id, "month_start": month_start}).one()
    return Amounts(int(analysis), int(roast))


def overlapping(session: Session) -> list[str]:
    """Users of whom two periods overlap."""
    return list(execute_core(session, OVERLAPPING).scalars())


def fingerprint(session: Session) -> dict[str, tuple[int, ...]]:
    """Rows and sums of journal and books: equal for equal contents of what counts."""
    posted = [JOURNAL.c[f"{engine}_posted_{kind}"] for engine in ("v2", "legacy") for kind in ("analysis", "roast")]
    queries = {
        "journal": select(func.count(), func.max(JOURNAL.c.id), *map(func.sum, posted)).select_from(JOURNAL),
        "v2": select(func.count(), func.sum(COUNTERS.c.analysis_used), func.sum(COUNTERS.c.roast_used)),
        "legacy": select(func.count(), func.sum(LEGACY.c.analysis_used), func.sum(LEGACY.c.roast_used)),
        "packs": select(func.count(), func.sum(PACKS.c.remaining)),
    }
    return {
        name: tuple(int(value or 0) for value in execute_core(session, query).one()) for name, query in queries.items()
    }
