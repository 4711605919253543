"""The data for a measurement of credits: users with their books, and a journal of ten months that adds up to them."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, insert, text

from control_plane.platform.db.database import db, transaction
from control_plane.platform.runtime import leases
from credits_engine.engines.amounts import Amounts, Limits
from credits_engine.engines.periods import Period, calendar_month
from credits_engine.store.tables import COUNTERS, LEGACY, USERS
from tests.installation import Installation

MONTHS = 10
USERS_AT_ONCE = 10_000
SIGNUPS, A_DAY = timedelta(days=60), timedelta(days=1)
BOUGHT = "plus"

# A tenth of the users in each month, each with rows / users operations of one credit, in the order of time.
ENTRIES = """
INSERT INTO credit_journal (occurred_at, user_id, type, operation_key, requested, charged, served_engine, outcome,
        reason, shadow_reason, flag_revision, evaluation_reason, variance, cause, actor,
        v2_period_start, v2_period_end, v2_posted, v2_outcome, v2_charged, v2_used, v2_limit, v2_us,
        legacy_period_start, legacy_period_end, legacy_posted, legacy_outcome, legacy_charged, legacy_used,
        legacy_limit, legacy_us)
    SELECT starts + (ends - starts) * place, 'user-' || (month * :block + n % :block), 'consume', 'seed-' || n,
            '{1,0}', '{1,0}',
            'v2', 'allowed', 'The billing period grants 1 analysis.', 'This month''s pools hold 1 analysis.', 7,
            'SPLIT: everyone_inside', 'match', '', 'service:roastr-api',
            starts, next, '{1,0}', 'allowed', '{1,0}', ARRAY[used, 0], '{100000,5000}', 6,
            starts, next, '{1,0}', 'allowed', '{1,0}', ARRAY[used, 0], '{100000,5000}', 5
        FROM (SELECT n, n * :months / :rows AS month, n * :months % :rows / CAST(:rows AS float) AS place,
                n * :months % :rows / :months / :block AS used
            FROM generate_series(0, CAST(:rows AS bigint) - 1) n) numbered
        CROSS JOIN LATERAL (SELECT (date_trunc('month', CAST(:now AS timestamptz)) - make_interval(
            months => CAST(:months - 1 - month AS integer))) AS starts) month_start
        CROSS JOIN LATERAL (SELECT starts + interval '1 month' AS next,
            least(starts + interval '1 month', CAST(:now AS timestamptz)) AS ends) month_end
"""
BOOKS = """
INSERT INTO {book} SELECT user_id, {start}, {more} ARRAY[sum({engine}_posted[1]), 0]{limits} FROM credit_journal
    GROUP BY user_id, {start}, {end}
"""


@dataclass(frozen=True, slots=True)
class Dataset:
    """The size of what is measured: the number of users, and of rows in the journal."""

    users: int = 10_000
    rows: int = 0

    @property
    def block(self) -> int:
        """The number of users who consumed in each month."""
        return max(self.users // MONTHS, 1)

    @property
    def active(self) -> range:
        """The users of the running month."""
        return range((MONTHS - 1) * self.block, MONTHS * self.block)


def fill(installation: Installation, dataset: Dataset) -> None:
    """Put the dataset into an empty installation whose rollout serves a quarter of everyone by v2."""
    installation.plan()
    installation.move(3, 1)
    now = datetime.now(UTC)
    with installation.app.app_context(), transaction() as session:
        # A term that any guard outranks: the measured server has one of its own.
        leases.heartbeat(session, now=now, term=0, ttl_seconds=A_DAY.total_seconds())
    with installation.app.app_context(), db.engine.begin() as connection:
        if dataset.rows:
            connection.execute(text("SET LOCAL statement_timeout = 0"))
        month = calendar_month(now)
        for first in range(0, dataset.users, USERS_AT_ONCE):
            numbers = range(first, min(first + USERS_AT_ONCE, dataset.users))
            connection.execute(insert(USERS), [_user(number, now) for number in numbers])
            # Who has consumed this month has books of the journal's; for the others the clock has opened them.
            idle = [f"user-{number}" for number in numbers if not (dataset.rows and number in dataset.active)]
            if idle:
                connection.execute(insert(COUNTERS), [_counters(user, month) for user in idle])
                connection.execute(insert(LEGACY), [_pools(user, month) for user in idle])
        if dataset.rows:
            _journal(connection, dataset, now)


def _journal(connection: Connection, dataset: Dataset, now: datetime) -> None:
    values = {"now": now, "rows": dataset.rows, "users": dataset.users, "block": dataset.block, "months": MONTHS}
    connection.execute(text(ENTRIES), values)
    v2 = {"engine": "v2", "start": "v2_period_start", "end": "v2_period_end", "more": f"v2_period_end, '{BOUGHT}',"}
    legacy = {"engine": "legacy", "start": "legacy_period_start", "end": "legacy_period_end", "more": ""}
    columns = "(user_id, period_start, period_end, plan, used, limits)"
    connection.execute(text(BOOKS.format(book=f"usage_counters {columns}", limits=", ARRAY[100000, 5000]", **v2)))
    columns = "(user_id, month_start, used)"
    connection.execute(text(BOOKS.format(book=f"legacy_book {columns}", limits="", **legacy)))


def _user(number: int, now: datetime) -> dict[str, object]:
    return {
        "user_id": f"user-{number}",
        "plan": BOUGHT,
        "signed_up_at": now - SIGNUPS,
        "beta": False,
        "billing_anchor": None,
        "updated_at": now,
    }


def _counters(user: str, month: Period) -> dict[str, object]:
    return {
        "user_id": user,
        "period_start": month.start,
        "period_end": month.end,
        "plan": BOUGHT,
        "used": Amounts(),
        "limits": Limits(100_000, 5_000),
    }


def _pools(user: str, month: Period) -> dict[str, object]:
    return {"user_id": user, "month_start": month.start, "used": Amounts()}
