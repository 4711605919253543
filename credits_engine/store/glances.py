"""All that the status of a user needs, in one statement: account, both books, and what routes them."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, bindparam
from sqlalchemy.orm import Session

from control_plane.platform.database import run
from credits_engine.engines.decisions import Amounts
from credits_engine.engines.periods import Period
from credits_engine.engines.plans import Limits
from credits_engine.store.accounts import ACCOUNT, Account, account_of
from credits_engine.store.books import CounterRow
from credits_engine.store.tables import COUNTERS, LEGACY
from flags.store.revisions import NEWEST_CHANGE, WATCHED_UNTIL


@dataclass(frozen=True, slots=True)
class Glance:
    """A user at one instant. `row` is None where no period is open.

    `routing` is the revision of the flags and the end of the guard's lease.
    """

    account: Account
    row: CounterRow | None
    legacy_used: Amounts
    routing: tuple[int, datetime | None]


GLANCE = (
    ACCOUNT.add_columns(
        COUNTERS.c.period_start,
        COUNTERS.c.period_end,
        COUNTERS.c.plan.label("period_plan"),
        COUNTERS.c.analysis_used,
        COUNTERS.c.roast_used,
        COUNTERS.c.analysis_limit,
        COUNTERS.c.roast_limit,
        LEGACY.c.analysis_used.label("legacy_analysis"),
        LEGACY.c.roast_used.label("legacy_roast"),
        NEWEST_CHANGE.label("revision"),
        WATCHED_UNTIL.label("watched_until"),
    )
    .outerjoin(
        COUNTERS,
        and_(
            COUNTERS.c.user_id == bindparam("user_id"),
            COUNTERS.c.period_start <= bindparam("now"),
            COUNTERS.c.period_end > bindparam("now"),
        ),
    )
    .outerjoin(LEGACY, and_(LEGACY.c.user_id == bindparam("user_id"), LEGACY.c.month_start == bindparam("month_start")))
)


def glance(session: Session, user_id: str, *, now: datetime, month_start: datetime) -> Glance | None:
    """The user as they stand, without any lock; None when the directory lacks them."""
    row = run(session, GLANCE, {"user_id": user_id, "now": now, "month_start": month_start}).one_or_none()
    if row is None:
        return None
    counter = None
    if row.period_start is not None:
        counter = CounterRow(
            Period(row.period_start, row.period_end),
            row.period_plan,
            Amounts(row.analysis_used, row.roast_used),
            Limits(row.analysis_limit, row.roast_limit),
        )
    legacy = Amounts(row.legacy_analysis or 0, row.legacy_roast or 0)
    return Glance(account_of(row), counter, legacy, (row.revision or 0, row.watched_until))
