"""v2's counters as billing touches them: it moves the bounds of periods and never counts or uncounts a credit."""

from datetime import datetime

from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session

from credits_engine.amount_types import total_of
from credits_engine.billing.entitlements.changes import PeriodRow
from credits_engine.engines.periods import Period
from credits_engine.store.tables import COUNTERS, JOURNAL, execute_core

ROWS = (
    select(
        COUNTERS.c.period_start,
        COUNTERS.c.period_end,
        COUNTERS.c.plan,
        (total_of(COUNTERS.c.used) != 0).label("is_used"),
    )
    .where(COUNTERS.c.user_id == bindparam("user_id"), COUNTERS.c.period_end > bindparam("since"))
    .order_by(COUNTERS.c.period_start)
    .with_for_update()
)
MOVE = (
    update(COUNTERS)
    .where(
        COUNTERS.c.user_id == bindparam("of_user"),
        COUNTERS.c.period_start == bindparam("at_start"),
        COUNTERS.c.period_end == bindparam("old_end"),
    )
    .values(period_start=bindparam("new_start"), period_end=bindparam("new_end"))
)
LAST_USE = (
    select(JOURNAL.c.occurred_at)
    .where(JOURNAL.c.user_id == bindparam("user_id"), JOURNAL.c.operation_key.is_not(None))
    .order_by(JOURNAL.c.id.desc())
    .limit(1)
)


def lock_rows(session: Session, user_id: str, since: datetime) -> list[PeriodRow]:
    """A user's periods that had not ended at `since`, in order, locked."""
    found = execute_core(session, ROWS, {"user_id": user_id, "since": since})
    return [PeriodRow(Period(row.period_start, row.period_end), row.plan, bool(row.is_used)) for row in found]


def move(session: Session, user_id: str, period: Period, to: Period) -> None:
    """Give a locked period other bounds; what was used in it stays used in it."""
    bounds = {"of_user": user_id, "at_start": period.start, "old_end": period.end}
    changed = execute_core(session, MOVE, {**bounds, "new_start": to.start, "new_end": to.end}).rowcount
    assert changed == 1, f"the locked period {period} of {user_id} has changed"


def last_used_at(session: Session, user_id: str) -> datetime | None:
    """When the user's newest operation was decided; call it with their counters locked."""
    moment: datetime | None = execute_core(session, LAST_USE, {"user_id": user_id}).scalar()
    return moment
