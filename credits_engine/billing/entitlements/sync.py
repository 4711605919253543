"""Making the books say what the facts say: directory, account and the running period of one user.

Calling it again changes nothing. Whatever changes is journalled, under the event or the clock that caused it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy.orm import Session

from credits_engine.billing import metrics
from credits_engine.billing.entitlements import resets
from credits_engine.billing.entitlements.changes import (
    Entitlement,
    PeriodRow,
    entitlement_at,
    limits,
    overlap_at,
    plan_within,
    reschedule,
    truncate_at,
)
from credits_engine.billing.entitlements.facts import Fact, Snapshot, Source
from credits_engine.billing.entitlements.prices import UnmappedPriceError
from credits_engine.billing.entitlements.subscriptions import FREE, History, histories
from credits_engine.billing.store import accounts, counters, facts
from credits_engine.billing.store.accounts import BillingAccount
from credits_engine.engines.periods import Period
from credits_engine.engines.plans import CATALOGUE, CreditPlan
from credits_engine.engines.receipts import EntryType
from credits_engine.store import accounts as directory
from credits_engine.store import books as book_rows
from credits_engine.store import journal
from credits_engine.store.accounts import Account

ACTOR = "billing"
CLOCK = "clock"
INSTANT = timedelta(microseconds=1)
LATE = timedelta(days=4)
"""How late an event may come and still correct a period that ended meanwhile; Stripe delivers for three days."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class SyncState:
    """A user's entitlement, the facts it follows from, and a sentence for each change."""

    histories: tuple[History, ...]
    standing: Entitlement | None
    changes: tuple[str, ...]


def sync_user(session: Session, user_id: str, *, now: datetime, cause: str = CLOCK) -> SyncState:
    """Bring everything about one user up to the facts and the clock, in the caller's transaction.

    `cause` is the event behind it. Raises UnsoldPriceError while a subscription buys nothing that we know.
    """
    account = accounts.lock_account(session, user_id, now=now, default_plan=FREE)
    told = facts.of_user(session, user_id)
    known = histories(told)
    found = entitlement_at(known, now, CATALOGUE)
    if found is None:
        return SyncState(tuple(known), None, ())
    since = min(found.opened_at or now, now if cause == CLOCK else now - LATE)
    rows = counters.lock_rows(session, user_id, since)
    changes = _close(session, account, found, known, rows, now=now, cause=cause)
    rows = counters.lock_rows(session, user_id, since) if changes else rows
    changes += _make_up(session, account, told, rows, now=now, cause=cause)
    changes += _enter(session, account, found, now=now)
    running = _running(rows, now)
    if running is None:
        running = _open(session, user_id, now)
        changes.append(f"The period until {running.period.end:%Y-%m-%dT%H:%M:%SZ} is open.")
    limited = _limit(session, account, found, known, running, now=now, cause=cause)
    changes += limited
    if limited or account.plan != found.plan.name:
        _report_plan(session, account, told, now=now, cause=cause)
    _remember(session, account, found, running, now=now)
    return SyncState(tuple(known), found, tuple(changes))


def sync_account(session: Session, account: Account, *, now: datetime) -> Account:
    """Bring an account that has fallen due up to `now`, before an operation reads its books.

    Where a price buys nothing we know, the account stays as it was.
    """
    try:
        # A savepoint: what the sync wrote before it met the price is undone, and the operation goes on in the rest.
        with session.connection().begin_nested():
            sync_user(session, account.user_id, now=now)
    except UnmappedPriceError as error:
        log.warning("billing.settling_postponed", user=account.user_id, reason=str(error))
        return account
    return directory.refreshed(session, account)


def _close(
    session: Session,
    account: BillingAccount,
    found: Entitlement,
    known: Sequence[History],
    rows: Sequence[PeriodRow],
    *,
    now: datetime,
    cause: str,
) -> list[str]:
    """End the period that reaches across a moved and paid anchor, once per paid period."""
    start = found.opened_at
    crossing = overlap_at(rows, start) if start else None
    if start is None or crossing is None:
        return []
    at = truncate_at(crossing.period, start, last_used_at=counters.last_used_at(session, account.user_id), now=now)
    places = reschedule(crossing.later, start)
    if at is None or len(places) < len(crossing.later):
        return []
    if not accounts.record_opening(
        session, found.subscription_id, start, user_id=account.user_id, event_id=cause, now=now
    ):
        metrics.trip(session, metrics.RESET_TWICE, user=account.user_id, stripe_event=cause)
        return []
    ended = Period(crossing.period.start, at)
    plan = plan_within(ended, known, CATALOGUE) or CATALOGUE.plan(account.original_plan)
    # What the clock opened since knew only the older anchor. Nothing counts there, so it begins where it belongs.
    for period, place in {crossing.period: ended, **places}.items():
        counters.move(session, account.user_id, period, place)
    book_rows.change_limits(session, account.user_id, ended, plan)
    reason = f"Credits reset for {account.user_id}: a period paid for begins at {at:%Y-%m-%dT%H:%M:%SZ}."
    _journal(session, account, ended, plan, type_=EntryType.PERIOD_CLOSE, now=now, reason=reason, cause=cause)
    log.info("billing.period_closed", user=account.user_id, stripe_event=cause, reason=reason)
    return [reason]


def _enter(session: Session, account: BillingAccount, found: Entitlement, *, now: datetime) -> list[str]:
    """The directory is what the engines, the flags and the page read."""
    if (account.plan, account.anchor) == (found.plan.name, found.anchor):
        return []
    accounts.update_directory(session, account.user_id, plan=found.plan.name, anchor=found.anchor, now=now)
    if account.plan == found.plan.name:
        return [f"Periods are counted from {found.anchor:%Y-%m-%dT%H:%M:%SZ}." if found.anchor else "No anchor."]
    return [f"Plan {found.plan.name} instead of {account.plan}."]


def _make_up(
    session: Session,
    account: BillingAccount,
    told: Sequence[Fact],
    rows: Sequence[PeriodRow],
    *,
    now: datetime,
    cause: str,
) -> list[str]:
    """Set the limits of a period that ended before its events arrived."""
    changes = []
    for row in rows:
        if row.period.end <= now:
            last = row.period.end - INSTANT
            known = histories(fact for fact in told if fact.at <= last)
            found = entitlement_at(known, last, CATALOGUE)
            changes += _limit(session, account, found, known, row, now=last, cause=cause) if found else []
    return changes


def _running(rows: Sequence[PeriodRow], now: datetime) -> PeriodRow | None:
    return next((row for row in rows if now in row.period), None)


def _open(session: Session, user_id: str, now: datetime) -> PeriodRow:
    for refused in resets.open_running(session, [user_id], now).refused.values():
        raise refused
    running = _running(counters.lock_rows(session, user_id, now), now)
    assert running is not None
    return running


def _limit(
    session: Session,
    account: BillingAccount,
    found: Entitlement,
    known: Sequence[History],
    running: PeriodRow,
    *,
    now: datetime,
    cause: str,
) -> list[str]:
    """Raise or correct the limits of the running period."""
    change = limits(running, found, known, now=now, catalogue=CATALOGUE)
    if change is None:
        return []
    book_rows.change_limits(session, account.user_id, change.period, change.plan)
    reason = f"Limits of {change.plan.name} instead of {running.plan}; what was used stays used."
    _journal(
        session, account, change.period, change.plan, type_=EntryType.LIMIT_CHANGE, now=now, reason=reason, cause=cause
    )
    return [reason]


def _report_plan(session: Session, account: BillingAccount, told: Sequence[Fact], *, now: datetime, cause: str) -> None:
    """Report the delay of a change: since its due time, or since Stripe's latest event.

    What we asked for ourselves is dated by our question, and the change that it told of is older than that.
    """
    said = [fact.at for fact in told if not (isinstance(fact, Snapshot) and fact.source is Source.FETCHED)]
    due_at = account.due_at if cause == CLOCK else max(said, default=None)
    if due_at is not None:
        metrics.report_plan(session, account.user_id, due_at=due_at, now=now)


def _remember(
    session: Session, account: BillingAccount, found: Entitlement, running: PeriodRow, *, now: datetime
) -> None:
    """Write the account where something differs, and when to look again: at a due date or the next period."""
    due_at = min(found.due_at or running.period.end, running.period.end)
    service = (found.period.start, found.period.end) if found.period else (None, None)
    before = (
        account.blocked,
        account.reason,
        account.subscription_id,
        account.service_start,
        account.service_end,
        account.due_at,
    )
    after = (found.blocked, found.reason, found.subscription_id, *service, due_at)
    if before != after:
        accounts.update_account(
            session,
            account.user_id,
            now=now,
            blocked=found.blocked,
            reason=found.reason,
            subscription_id=found.subscription_id,
            service_start=service[0],
            service_end=service[1],
            due_at=due_at,
        )


def _journal(
    session: Session,
    account: BillingAccount,
    period: Period,
    plan: CreditPlan,
    *,
    type_: EntryType,
    now: datetime,
    reason: str,
    cause: str,
) -> None:
    journal.append(
        session,
        {
            "type": type_.value,
            "occurred_at": now,
            "user_id": account.user_id,
            "reason": reason,
            "actor": ACTOR,
            "context": {"cause": cause},
            "v2_period_start": period.start,
            "v2_period_end": period.end,
            "v2_limit": plan.v2,
        },
    )
