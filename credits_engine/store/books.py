"""Rows of both books: load them locked or as they stand, open them, move them by relative amounts.

`view_account` reads all that an operation needs of a user in one statement: account, both books, what routes them, and
the operation's key.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, ScalarSelect, Text, and_, bindparam, func, insert, select, update
from sqlalchemy.orm import Session

from control_plane.platform.db.database import is_postgresql
from control_plane.platform.db.fastpath import CompiledStatement
from credits_engine.amount_types import AmountsType, per_kinds, sum_of
from credits_engine.engines.amounts import KINDS, NOTHING, Amounts, Limits
from credits_engine.engines.credit_plan import CreditPlan
from credits_engine.engines.periods import Period
from credits_engine.engines.plans import CATALOGUE
from credits_engine.store.accounts import ACCOUNT, KEY_COLUMNS, OF_KEY, Account, KnownKey, account_of, known_key
from credits_engine.store.tables import COUNTERS, JOURNAL, KEYS, LEGACY, ResultRow, insert_if_absent, inserted
from flags.store.revisions import NEWEST_CHANGE, WATCHED_UNTIL

OPENINGS = 297
"""What the advisory locks on openings of periods are drawn from, beside the user; `credit_opened` takes the same."""


@dataclass(frozen=True, slots=True)
class CounterRow:
    """One row of `usage_counters`."""

    period: Period
    plan: str
    used: Amounts
    limits: Limits


CURRENT = select(
    COUNTERS.c.period_start,
    COUNTERS.c.period_end,
    COUNTERS.c.plan,
    COUNTERS.c.used,
    COUNTERS.c.limits,
).where(
    COUNTERS.c.user_id == bindparam("user_id"),
    COUNTERS.c.period_start <= bindparam("now"),
    COUNTERS.c.period_end > bindparam("now"),
)
MONTH = (
    select(LEGACY.c.used, *KEY_COLUMNS)
    .select_from(LEGACY)
    .outerjoin(KEYS, and_(KEYS.c.user_id == bindparam("user_id"), KEYS.c.key == bindparam("key")))
    .outerjoin(JOURNAL, OF_KEY)
    .where(LEGACY.c.user_id == bindparam("user_id"), LEGACY.c.month_start == bindparam("month_start"))
)
SHOW_CURRENT = CompiledStatement(CURRENT)
SHOW_MONTH = CompiledStatement(MONTH)
LOCK_CURRENT = CompiledStatement(CURRENT.with_for_update())
LOCK_MONTH = CompiledStatement(MONTH.with_for_update(of=LEGACY))
MOVED = bindparam("amounts", type_=AmountsType())
POST_V2 = per_kinds(
    lambda: CompiledStatement(
        update(COUNTERS)
        .where(COUNTERS.c.user_id == bindparam("of_user"), COUNTERS.c.period_start == bindparam("at_start"))
        .values(used=sum_of(COUNTERS.c.used, MOVED))
    )
)
POST_LEGACY = per_kinds(
    lambda: CompiledStatement(
        update(LEGACY)
        .where(LEGACY.c.user_id == bindparam("of_user"), LEGACY.c.month_start == bindparam("at_start"))
        .values(used=sum_of(LEGACY.c.used, MOVED))
    )
)
OPEN_PERIOD = CompiledStatement(insert(COUNTERS))
LOCK_OPENINGS = CompiledStatement(
    select(func.pg_advisory_xact_lock(func.hashtextextended(bindparam("user_id", type_=Text), OPENINGS)))
)
EARLIER, AFTERWARDS = COUNTERS.alias("earlier"), COUNTERS.alias("afterwards")


def last_end(user_id: ColumnElement[str]) -> ScalarSelect[datetime]:
    """Select the end of the last period that began by `now`: one row of the index, however many there were."""
    return (
        select(EARLIER.c.period_end)
        .where(EARLIER.c.user_id == user_id, EARLIER.c.period_start <= bindparam("now"))
        .order_by(EARLIER.c.period_start.desc())
        .limit(1)
        .scalar_subquery()
    )


def next_start(user_id: ColumnElement[str]) -> ScalarSelect[datetime]:
    """Select the start of a user's first period after `now`."""
    return (
        select(func.min(AFTERWARDS.c.period_start))
        .where(AFTERWARDS.c.user_id == user_id, AFTERWARDS.c.period_start > bindparam("now"))
        .scalar_subquery()
    )


OF_USER: ColumnElement[str] = bindparam("user_id", type_=Text)
NEIGHBOURS = CompiledStatement(select(last_end(OF_USER), next_start(OF_USER)))
OPEN_MONTH = insert_if_absent(LEGACY)


def lock_current(session: Session, user_id: str, now: datetime) -> CounterRow | None:
    """Lock v2's row of the period that holds `now`; None when that period has not been opened."""
    return _counter_row(session, LOCK_CURRENT, user_id, now)


def show_current(session: Session, user_id: str, now: datetime) -> CounterRow | None:
    """Return the running period without a lock."""
    return _counter_row(session, SHOW_CURRENT, user_id, now)


def neighbours(session: Session, user_id: str, now: datetime) -> tuple[datetime | None, datetime | None]:
    """Return the end of the last period before `now` and the start of the first one after it."""
    before, after = NEIGHBOURS.fetch_one(session, {"user_id": user_id, "now": now})
    return before, after


def lock_period_openings(session: Session, user_id: str) -> bool:
    """Let one transaction at a time open periods of this user; whether another may have just done so.

    SQLite has one writer, so nobody can have.
    """
    if is_postgresql(session):
        LOCK_OPENINGS.fetch_one(session, {"user_id": user_id})
        return True
    return False


def open_period(session: Session, user_id: str, period: Period, plan: CreditPlan) -> CounterRow:
    """Create v2's row with the plan's limits and nothing used. The caller has locked the openings of this user."""
    OPEN_PERIOD.execute(session, unused_period(user_id, period, plan))
    return CounterRow(period, plan.name, NOTHING, plan.v2)


def change_limits(session: Session, user_id: str, period: Period, plan: str, limits: Limits) -> None:
    """Give a period the limits of another plan; what was used stays used."""
    session.execute(
        update(COUNTERS)
        .where(COUNTERS.c.user_id == user_id, COUNTERS.c.period_start == period.start)
        .values(plan=plan, limits=limits)
    )


def lock_month(
    session: Session, user_id: str, month_start: datetime, *, key: str
) -> tuple[Amounts, KnownKey | None] | None:
    """Lock legacy's row of that month; return its count and the state of `key`; None without a row.

    Called after v2's row is locked: whoever came first under the same key has committed by then and is seen.
    """
    row = LOCK_MONTH.fetch_one(session, {"user_id": user_id, "month_start": month_start, "key": key})
    return None if row is None else (row.used, known_key(row))


def show_month(session: Session, user_id: str, month_start: datetime) -> Amounts:
    """Return legacy's count of that month without a lock; zero without a row."""
    row = SHOW_MONTH.fetch_one(session, {"user_id": user_id, "month_start": month_start, "key": ""})
    return NOTHING if row is None else row.used


def open_month(session: Session, user_id: str, month_start: datetime) -> bool:
    """Create legacy's row with nothing used; False when another transaction has just done so."""
    return inserted(session, OPEN_MONTH, unused_month(user_id, month_start))


def post(session: Session, user_id: str, *, period_start: datetime, month_start: datetime, amounts: Amounts) -> None:
    """Move both books by the same amounts, whichever engine decided."""
    moved = {"of_user": user_id, "amounts": amounts}
    POST_V2().execute(session, {**moved, "at_start": period_start})
    POST_LEGACY().execute(session, {**moved, "at_start": month_start})


def unused_period(user_id: str, period: Period, plan: CreditPlan) -> dict[str, object]:
    """Return v2's row of a period that begins: the plan's limits and nothing used."""
    return {
        "user_id": user_id,
        "period_start": period.start,
        "period_end": period.end,
        "plan": plan.name,
        "used": NOTHING,
        "limits": plan.v2,
    }


def unused_month(user_id: str, month_start: datetime) -> dict[str, object]:
    """Return legacy's row of a month that begins."""
    return {"user_id": user_id, "month_start": month_start, "used": NOTHING}


def _counter_row(session: Session, statement: CompiledStatement, user_id: str, now: datetime) -> CounterRow | None:
    row = statement.fetch_one(session, {"user_id": user_id, "now": now})
    if row is None:
        return None
    return counter_row(row, row.plan)


def counter_row(row: ResultRow, plan: str) -> CounterRow:
    """Read v2's row; of kinds that were added since it was opened its plan's limits are in force."""
    limits = row.limits if len(row.limits.figures) >= len(KINDS) else row.limits.completed(CATALOGUE.plan(plan).v2)
    return CounterRow(Period(row.period_start, row.period_end), plan, row.used, limits)


@dataclass(frozen=True, slots=True)
class AccountView:
    """A user at one instant. `row` is None where no period is open, `month_used` where legacy counts nothing yet.

    `routing` is the revision of the flags and the end of the guard's lease; `known` what was asked under the key.
    """

    account: Account
    row: CounterRow | None
    month_used: Amounts | None
    routing: tuple[int, datetime | None]
    known: KnownKey | None


ACCOUNT_VIEW = (
    ACCOUNT.add_columns(
        COUNTERS.c.period_start,
        COUNTERS.c.period_end,
        COUNTERS.c.plan.label("period_plan"),
        COUNTERS.c.used,
        COUNTERS.c.limits,
        LEGACY.c.used.label("legacy_used"),
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
VIEW = CompiledStatement(ACCOUNT_VIEW)
VIEW_WITH_KEY = CompiledStatement(
    ACCOUNT_VIEW.add_columns(*KEY_COLUMNS)
    .outerjoin(KEYS, and_(KEYS.c.user_id == bindparam("user_id"), KEYS.c.key == bindparam("key")))
    .outerjoin(JOURNAL, OF_KEY)
)


def view_account(
    session: Session, user_id: str, *, now: datetime, month_start: datetime, key: str | None = None
) -> AccountView | None:
    """Return the user as they stand, and what is known of `key` if one is given, without any lock.

    None for a stranger.
    """
    params = {"user_id": user_id, "now": now, "month_start": month_start}
    row = VIEW.fetch_one(session, params) if key is None else VIEW_WITH_KEY.fetch_one(session, {**params, "key": key})
    if row is None:
        return None
    known = None if key is None else known_key(row)
    return AccountView(
        account_of(row), _open_counter(row), row.legacy_used, (row.revision or 0, row.watched_until), known
    )


def _open_counter(row: ResultRow) -> CounterRow | None:
    if row.period_start is None:
        return None
    return counter_row(row, row.period_plan)


def post_each(session: Session, user_id: str, *, v2: tuple[Period, Amounts], legacy: tuple[Period, Amounts]) -> None:
    """Move each book by its own amounts in its own period; the caller holds both rows."""
    for statement, (period, amounts) in ((POST_V2(), v2), (POST_LEGACY(), legacy)):
        if amounts != NOTHING:
            statement.execute(session, {"of_user": user_id, "at_start": period.start, "amounts": amounts})
