"""Making the books say what the facts say: directory, account and the running period of one user.

Calling it again changes nothing. Whatever changes is journalled, under the event or the clock that caused it.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog
from sqlalchemy.orm import Session

from control_plane.platform import settings
from credits_engine.billing import metrics
from credits_engine.billing.entitlements import period_bounds, rollovers
from credits_engine.billing.entitlements.changes import (
    Entitlement,
    entitlement_at,
    limits,
    without_subscription,
)
from credits_engine.billing.entitlements.given_back import DisputePolicy
from credits_engine.billing.entitlements.history import History, histories
from credits_engine.billing.entitlements.plan_of_prices import FREE, NOT_IN_CATALOGUE, UnmappedPriceError
from credits_engine.billing.entitlements.price_list import catalogue
from credits_engine.billing.entitlements.sync_run import CLOCK, MERGED, SyncRun
from credits_engine.billing.facts import Fact, Snapshot, Source
from credits_engine.billing.store import accounts, facts
from credits_engine.engines.amounts import KINDS
from credits_engine.engines.periods import PeriodRow
from credits_engine.engines.plans import CATALOGUE
from credits_engine.engines.receipts import EntryType
from credits_engine.operations import period_openings
from credits_engine.operations import rollovers as rolling
from credits_engine.operations.period_openings import OpenedPeriods
from credits_engine.store import accounts as directory
from credits_engine.store import plan_versions
from credits_engine.store.accounts import Account

INSTANT = timedelta(microseconds=1)
LATE = timedelta(days=4)
"""How late an event may come and still correct a period that ended meanwhile; Stripe delivers for three days."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class SyncState:
    """A user's entitlement, the facts it follows from, and a sentence for each change."""

    histories: tuple[History, ...]
    entitlement: Entitlement | None
    changes: tuple[str, ...]


def dispute_policy() -> DisputePolicy:
    """Return the effect of an open dispute, as the settings say."""
    return DisputePolicy(settings.current().stripe_disputes)


def sync_user(session: Session, user_id: str, *, now: datetime, cause: str = CLOCK) -> SyncState:
    """Bring everything about one user up to the facts and the clock, in the caller's transaction.

    `cause` is the event behind it. Raises UnmappedPriceError while a subscription buys nothing that we know,
    and UnknownPlanError while the catalogue lacks the plan that they had before.
    """
    # The account's row is the user's lock: two events about one user are applied one after the other, in any order.
    account = accounts.lock_account(session, user_id, now=now, default_plan=FREE)
    run = SyncRun(session, account, now, cause, accounts.merged_customers(session, user_id))
    stated = facts.of_user(session, user_id)
    known = histories(stated, dispute_policy())
    entitlement = _entitlement(run, known)
    if entitlement is None:
        _forget_due(run)
        return SyncState(tuple(known), None, ())
    since = _corrected_since(run, entitlement)
    rows = accounts.lock_periods(session, user_id, since)
    changes = period_bounds.close_crossed(run, entitlement, known, rows)
    # Closing moves the bounds of rows: what follows must not look at the old ones.
    rows = accounts.lock_periods(session, user_id, since) if changes else rows
    changes += _correct_ended(run, stated, rows)
    changes += _update_directory(run, entitlement)
    running = period_bounds.aligned(run, entitlement, running_row(rows, now))
    if running is None:
        # Only now: the period to open is counted from the plan and the anchor that the directory has just been given.
        running = _open(session, user_id, now)
        changes.append(f"The period until {running.period.end:%Y-%m-%dT%H:%M:%SZ} is open.")
    elif undone := period_bounds.undo_opening(run, entitlement, known, running):
        running = running_row(accounts.lock_periods(session, user_id, now), now) or running
        changes += undone
    limited = _limit(run, entitlement, known, running)
    changes += limited
    changes += rollovers.sync_rollovers(run, known, granting=entitlement.subscription_id)
    if limited or account.plan != entitlement.plan.name:
        _report_plan(run, stated)
    _remember(run, entitlement, running)
    return SyncState(tuple(known), entitlement, tuple(changes))


def sync_account(session: Session, account: Account, *, now: datetime) -> Account:
    """Bring an account that has fallen due up to `now`, before an operation reads its books.

    Where their price or plan has left the catalogue, the account stays as it was.
    """
    try:
        # A savepoint: what the sync wrote before it met the price is undone, and the operation goes on in the rest.
        with session.connection().begin_nested():
            sync_user(session, account.user_id, now=now)
    except NOT_IN_CATALOGUE as error:
        log.warning("billing.sync_postponed", user=account.user_id, reason=str(error))
        return account
    return directory.refreshed(session, account)


def _entitlement(run: SyncRun, known: Sequence[History]) -> Entitlement | None:
    """Return what a user is entitled to: whoever has no subscription any more has the plan of before again."""
    found = entitlement_at(known, run.now, catalogue())
    if found is None and run.account.subscription_id is not None:
        return without_subscription(catalogue().plan(run.account.original_plan))
    return found


def _forget_due(run: SyncRun) -> None:
    """Let nothing fall due of a user to whom billing grants nothing, as after a merge: the sweep would never end it."""
    if run.account.due_at is not None:
        accounts.update_account(run.session, run.account.user_id, now=run.now, due_at=None)


def _corrected_since(run: SyncRun, entitlement: Entitlement) -> datetime:
    """Return the moment up to which periods may have ended that what was told now corrects."""
    # An event may be as late as Stripe retries it.
    since = min(entitlement.opened_at or run.now, run.now if run.cause == CLOCK else run.now - LATE)
    # What came with a merge says nothing of the periods that had ended before it.
    return max(since, run.merged_at) if run.merged_at else since


def _update_directory(run: SyncRun, entitlement: Entitlement) -> list[str]:
    """Write the directory, which the engines, the flags and the page read."""
    account, plan, anchor = run.account, entitlement.plan.name, entitlement.anchor
    if (account.plan, account.anchor) == (plan, anchor):
        return []
    plan_versions.write_seats(run.session, entitlement.plan, CATALOGUE, KINDS)
    accounts.update_directory(run.session, account.user_id, plan=plan, anchor=anchor, now=run.now)
    if account.plan == plan:
        return [f"Periods are counted from {anchor:%Y-%m-%dT%H:%M:%SZ}." if anchor else "No anchor."]
    return [f"Plan {plan} instead of {account.plan}."]


def _correct_ended(run: SyncRun, stated: Sequence[Fact], rows: Sequence[PeriodRow]) -> list[str]:
    """Set the limits of a period that ended before its events arrived."""
    changes = []
    for row in rows:
        if row.period.end <= run.now:
            # Judged as of its last instant: a fact of the next period says nothing about the limits of this one.
            last = row.period.end - INSTANT
            # An open dispute refuses what is asked for, and lowers no limits that were in force.
            known = histories((fact for fact in stated if fact.at <= last), DisputePolicy.KEEP)
            with suppress(UnmappedPriceError):  # of such a price nobody knows other limits than it has
                entitlement = entitlement_at(known, last, catalogue())
                changes += _limit(replace(run, now=last), entitlement, known, row) if entitlement else []
    return changes


def running_row(rows: Sequence[PeriodRow], now: datetime) -> PeriodRow | None:
    """Return the period that holds `now`."""
    return next((row for row in rows if now in row.period), None)


def _open(session: Session, user_id: str, now: datetime) -> PeriodRow:
    for refused in open_running(session, [user_id], now).refused.values():
        raise refused
    running = running_row(accounts.lock_periods(session, user_id, now), now)
    assert running is not None
    return running


def _limit(run: SyncRun, entitlement: Entitlement, known: Sequence[History], row: PeriodRow) -> list[str]:
    """Raise or correct the limits of a period."""
    change = limits(row, entitlement, known, now=run.now, catalogue=catalogue(), merged=run.merged)
    if change is None:
        return []
    rolling.change_limits(run.session, run.account.user_id, change.period, change.plan)
    reason = f"Limits of {change.plan.name} instead of {row.plan}; what was used stays used."
    return [run.journal(EntryType.LIMIT_CHANGE, change.period, change.plan, reason)]


def _report_plan(run: SyncRun, stated: Sequence[Fact]) -> None:
    """Report the delay of a change: since its due time, or since Stripe's latest event; a merge is never late."""
    if run.cause == MERGED:
        return
    # What we fetched ourselves is dated by our question, and the change that it shows is older than that.
    sent = [fact.at for fact in stated if not (isinstance(fact, Snapshot) and fact.source is Source.FETCHED)]
    due_at = run.account.due_at if run.cause == CLOCK else max(sent, default=None)
    if due_at is not None:
        metrics.report_plan(run.session, run.account.user_id, due_at=due_at, now=run.now)


def _remember(run: SyncRun, entitlement: Entitlement, running: PeriodRow) -> None:
    """Write the account where something differs, and when to look again: at a due date or the next period."""
    due_at = min(entitlement.due_at or running.period.end, running.period.end)
    service = (entitlement.period.start, entitlement.period.end) if entitlement.period else (None, None)
    account = run.account
    before = (
        account.blocked,
        account.reason,
        account.subscription_id,
        account.service_start,
        account.service_end,
        account.due_at,
    )
    after = (entitlement.blocked, entitlement.reason, entitlement.subscription_id, *service, due_at)
    if before != after:
        accounts.update_account(
            run.session,
            account.user_id,
            now=run.now,
            blocked=entitlement.blocked,
            reason=entitlement.reason,
            subscription_id=entitlement.subscription_id,
            service_start=service[0],
            service_end=service[1],
            due_at=due_at,
        )


def open_running(session: Session, user_ids: Sequence[str], now: datetime) -> OpenedPeriods:
    """Open missing periods, and once that is committed tell the guard whose credits were reset and whether in time."""
    done = period_openings.open_missing_periods(session, user_ids, now, had_one_plan=rollovers.had_one_plan)
    rollovers.sync_opened(session, done.rolled_over, now)
    metrics.report_resets(session, done.openings, now=now)
    return done
