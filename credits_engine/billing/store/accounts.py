"""Customers, the users they are, what these are entitled to, and v2's counters as billing touches them.

Billing moves the bounds of periods and never counts or uncounts a credit.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.orm import Session

from credits_engine.amount_types import total_of
from credits_engine.billing.models import ACCOUNTS, CUSTOMERS, OPENINGS
from credits_engine.engines.periods import Period, PeriodRow
from credits_engine.store.books import CounterRow, counter_row
from credits_engine.store.tables import COUNTERS, JOURNAL, USERS, ResultRow, execute_core, insert_if_absent, inserted


@dataclass(frozen=True, slots=True)
class BillingAccount:
    """Billing's last state of a user, and the directory's."""

    user_id: str
    original_plan: str
    blocked: str | None
    reason: str
    subscription_id: str | None
    service_start: datetime | None
    service_end: datetime | None
    due_at: datetime | None
    plan: str
    anchor: datetime | None


CUSTOMER = select(CUSTOMERS.c.user_id).where(CUSTOMERS.c.customer_id == bindparam("customer_id")).with_for_update()
ADD_CUSTOMER = insert_if_absent(CUSTOMERS)
LINK = (
    update(CUSTOMERS)
    .where(CUSTOMERS.c.customer_id == bindparam("of_customer"))
    .values(
        user_id=bindparam("to_user"),
        linked_at=bindparam("at"),
        linked_by=bindparam("by"),
        merged_at=bindparam("merged", type_=CUSTOMERS.c.merged_at.type),
    )
)
MERGED = select(CUSTOMERS.c.customer_id, CUSTOMERS.c.merged_at).where(
    CUSTOMERS.c.user_id == bindparam("user_id"), CUSTOMERS.c.merged_at.is_not(None)
)
ACCOUNT = (
    select(
        ACCOUNTS.c.user_id,
        ACCOUNTS.c.original_plan,
        ACCOUNTS.c.blocked,
        ACCOUNTS.c.reason,
        ACCOUNTS.c.subscription_id,
        ACCOUNTS.c.service_start,
        ACCOUNTS.c.service_end,
        ACCOUNTS.c.due_at,
        USERS.c.plan,
        USERS.c.billing_anchor,
    )
    .join(USERS, USERS.c.user_id == ACCOUNTS.c.user_id)
    .where(ACCOUNTS.c.user_id == bindparam("user_id"))
)
LOCK_ACCOUNT = ACCOUNT.with_for_update()
ADD_ACCOUNT = insert_if_absent(ACCOUNTS)
ADD_USER = insert_if_absent(USERS)
PLAN = select(USERS.c.plan).where(USERS.c.user_id == bindparam("user_id")).with_for_update()
DUE = (
    select(ACCOUNTS.c.user_id)
    .where(ACCOUNTS.c.due_at <= bindparam("now"))
    .order_by(ACCOUNTS.c.due_at)
    .limit(bindparam("most"))
)
OPEN = insert_if_absent(OPENINGS)


def lock_customer(session: Session, customer_id: str) -> str | None:
    """Return the user that a customer is, locked; None for a customer whose user is not known yet."""
    found = execute_core(session, CUSTOMER, {"customer_id": customer_id}).one_or_none()
    if found is None:
        inserted(session, ADD_CUSTOMER, {"customer_id": customer_id})
        found = execute_core(session, CUSTOMER, {"customer_id": customer_id}).one()
    user_id: str | None = found.user_id
    return user_id


def link(
    session: Session, customer_id: str, user_id: str, *, now: datetime, by: str, merged_at: datetime | None = None
) -> None:
    """Say which user a customer is, and when they came by a merge; the caller has locked the customer."""
    row = {"of_customer": customer_id, "to_user": user_id, "at": now, "by": by, "merged": merged_at}
    execute_core(session, LINK, row)


def merged_customers(session: Session, user_id: str) -> dict[str, datetime]:
    """Return the customers that came to a user by merges, and when."""
    found = execute_core(session, MERGED, {"user_id": user_id})
    return {row.customer_id: row.merged_at for row in found}


def lock_account(session: Session, user_id: str, *, now: datetime, default_plan: str) -> BillingAccount:
    """Return a user's account and directory entry, locked; both are made when missing."""
    found = execute_core(session, LOCK_ACCOUNT, {"user_id": user_id}).one_or_none()
    if found is None:
        _add_account(session, user_id, now=now, default_plan=default_plan)
        found = execute_core(session, LOCK_ACCOUNT, {"user_id": user_id}).one()
    return _account(found)


def show_account(session: Session, user_id: str) -> BillingAccount | None:
    """Return the account without a lock; None for a user unknown to billing."""
    found = execute_core(session, ACCOUNT, {"user_id": user_id}).one_or_none()
    return _account(found) if found else None


def update_account(session: Session, user_id: str, *, now: datetime, **columns: Any) -> None:
    """Write what a user is entitled to."""
    statement = update(ACCOUNTS).where(ACCOUNTS.c.user_id == user_id).values(**columns, updated_at=now)
    execute_core(session, statement)


def update_directory(session: Session, user_id: str, *, plan: str, anchor: datetime | None, now: datetime) -> None:
    """Tell everybody else which plan a user has and when their periods begin."""
    statement = update(USERS).where(USERS.c.user_id == user_id)
    execute_core(session, statement.values(plan=plan, billing_anchor=anchor, updated_at=now))


def due(session: Session, *, now: datetime, most: int) -> list[str]:
    """Return users for whom the clock has changed something, longest due first."""
    return [row.user_id for row in execute_core(session, DUE, {"now": now, "most": most})]


def record_opening(
    session: Session, subscription_id: str, period_start: datetime, *, user_id: str, event_id: str, now: datetime
) -> bool:
    """Register that a payment opened this period; False when one has before."""
    row = {
        "subscription_id": subscription_id,
        "period_start": period_start,
        "user_id": user_id,
        "event_id": event_id,
        "opened_at": now,
    }
    return inserted(session, OPEN, row)


def openings_between(
    session: Session, subscription_ids: Collection[str], after: datetime, until: datetime
) -> list[tuple[str, datetime]]:
    """Return the openings by payments of these subscriptions that lie after one moment, and not after another."""
    key = OPENINGS.c.subscription_id, OPENINGS.c.period_start
    between = OPENINGS.c.period_start > after, OPENINGS.c.period_start <= until
    query = select(*key).where(OPENINGS.c.subscription_id.in_(subscription_ids), *between)
    return [(row.subscription_id, row.period_start) for row in session.execute(query)]


def forget_openings(session: Session, openings: Collection[tuple[str, datetime]]) -> None:
    """Forget that these payments opened a period."""
    for subscription_id, start in openings:
        own = OPENINGS.c.subscription_id == subscription_id, OPENINGS.c.period_start == start
        execute_core(session, delete(OPENINGS).where(*own))


def user_of(session: Session, customer_id: str) -> str | None:
    """Return the user that a customer is, without a lock."""
    return session.scalar(select(CUSTOMERS.c.user_id).where(CUSTOMERS.c.customer_id == customer_id))


def is_known(session: Session, user_id: str) -> bool:
    """Return whether the directory has a user."""
    return session.scalar(select(USERS.c.user_id).where(USERS.c.user_id == user_id)) is not None


def known_users(session: Session, user_ids: Collection[str]) -> list[str]:
    """Return those of `user_ids` that have an account, in order."""
    if not user_ids:
        return []
    query = select(ACCOUNTS.c.user_id).where(ACCOUNTS.c.user_id.in_(user_ids)).order_by(ACCOUNTS.c.user_id)
    return list(session.scalars(query))


def live_subscriptions(session: Session) -> dict[str, str]:
    """Return the subscriptions that somebody's rights rest on, with that user."""
    query = select(ACCOUNTS.c.subscription_id, ACCOUNTS.c.user_id).where(ACCOUNTS.c.service_end.is_not(None))
    return {row.subscription_id: row.user_id for row in session.execute(query)}


def customers_of(session: Session, user_id: str) -> list[str]:
    """Return the customers that a user is known as."""
    query = select(CUSTOMERS.c.customer_id).where(CUSTOMERS.c.user_id == user_id).order_by(CUSTOMERS.c.customer_id)
    return list(session.scalars(query))


def _account(row: ResultRow) -> BillingAccount:
    return BillingAccount(*row)


def _add_account(session: Session, user_id: str, *, now: datetime, default_plan: str) -> None:
    inserted(
        session,
        ADD_USER,
        {
            "user_id": user_id,
            "plan": default_plan,
            "signed_up_at": None,
            "beta": False,
            "billing_anchor": None,
            "updated_at": now,
        },
    )
    plan = execute_core(session, PLAN, {"user_id": user_id}).scalar_one()
    row = {"user_id": user_id, "original_plan": plan, "reason": "", "updated_at": now}
    inserted(session, ADD_ACCOUNT, row)


PERIODS = (
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
MOVE_PERIOD = (
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


def lock_periods(session: Session, user_id: str, since: datetime) -> list[PeriodRow]:
    """Return a user's periods that had not ended at `since`, in order, locked."""
    found = execute_core(session, PERIODS, {"user_id": user_id, "since": since})
    return [PeriodRow(Period(row.period_start, row.period_end), row.plan, bool(row.is_used)) for row in found]


def lock_period_before(session: Session, user_id: str, period: Period) -> CounterRow | None:
    """Return the period that ended where this one begins, locked; None where none did."""
    ended = COUNTERS.c.user_id == user_id, COUNTERS.c.period_end == period.start
    row = session.execute(select(COUNTERS).where(*ended).with_for_update()).one_or_none()
    return counter_row(row, row.plan) if row else None


def move_period(session: Session, user_id: str, period: Period, to: Period) -> None:
    """Give a locked period other bounds; what was used in it stays used in it."""
    bounds = {"of_user": user_id, "at_start": period.start, "old_end": period.end}
    changed = execute_core(session, MOVE_PERIOD, {**bounds, "new_start": to.start, "new_end": to.end}).rowcount
    assert changed == 1, f"the locked period {period} of {user_id} has changed"


def last_used_at(session: Session, user_id: str) -> datetime | None:
    """Return when the user's newest operation was decided; call it with their counters locked."""
    moment: datetime | None = execute_core(session, LAST_USE, {"user_id": user_id}).scalar()
    return moment


DIFFERING = (
    select(USERS.c.user_id, USERS.c.plan, COUNTERS.c.plan.label("limited_as"))
    .join(ACCOUNTS, ACCOUNTS.c.user_id == USERS.c.user_id)
    .join(COUNTERS, COUNTERS.c.user_id == USERS.c.user_id)
    .where(
        ACCOUNTS.c.subscription_id.is_not(None),
        COUNTERS.c.period_start <= bindparam("now"),
        COUNTERS.c.period_end > bindparam("now"),
        COUNTERS.c.plan != USERS.c.plan,
        USERS.c.updated_at <= bindparam("since"),
        ACCOUNTS.c.updated_at <= bindparam("since"),
    )
    .order_by(USERS.c.user_id)
)


def differing_from_plan(session: Session, *, now: datetime, since: datetime) -> list[tuple[str, str, str]]:
    """Return subscribers with their plan and that whose limits they have, where these differ; synced by `since`."""
    found = execute_core(session, DIFFERING, {"now": now, "since": since})
    return [(row.user_id, row.plan, row.limited_as) for row in found]
