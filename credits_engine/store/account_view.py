"""All that a look at a user needs, in one statement: account, both books, what routes them, and an operation's key."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, bindparam
from sqlalchemy.orm import Session

from control_plane.platform.db.fastpath import CompiledStatement
from credits_engine.engines.amounts import Amounts
from credits_engine.store.accounts import ACCOUNT, KEY_COLUMNS, Account, KnownKey, account_of, known_key
from credits_engine.store.books import CounterRow, counter_row
from credits_engine.store.tables import COUNTERS, JOURNAL, KEYS, LEGACY
from flags.store.revisions import NEWEST_CHANGE, WATCHED_UNTIL


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


SIGHT = (
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
GLANCE = CompiledStatement(SIGHT)
FIRST_GLANCE = CompiledStatement(
    SIGHT.add_columns(*KEY_COLUMNS)
    .outerjoin(KEYS, and_(KEYS.c.user_id == bindparam("user_id"), KEYS.c.key == bindparam("key")))
    .outerjoin(JOURNAL, JOURNAL.c.id == KEYS.c.journal_id)
)


def view_account(
    session: Session, user_id: str, *, now: datetime, month_start: datetime, key: str | None = None
) -> AccountView | None:
    """The user as they stand, and what is known of `key` if one is given, without any lock; None for a stranger."""
    asked = {"user_id": user_id, "now": now, "month_start": month_start}
    row = GLANCE.fetch_one(session, asked) if key is None else FIRST_GLANCE.fetch_one(session, {**asked, "key": key})
    if row is None:
        return None
    known = None if key is None else known_key(row)
    return AccountView(account_of(row), _counter(row), row.legacy_used, (row.revision or 0, row.watched_until), known)


def _counter(row: Any) -> CounterRow | None:
    if row.period_start is None:
        return None
    return counter_row(row, row.period_plan)
