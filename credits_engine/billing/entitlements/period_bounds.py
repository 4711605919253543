"""Where the running period of a user begins and ends by what was paid for: once for each payment, whenever told."""

from collections.abc import Sequence

import structlog

from credits_engine.billing import metrics
from credits_engine.billing.entitlements.changes import Entitlement, overlap_at, plan_within, reschedule, truncate_at
from credits_engine.billing.entitlements.history import History
from credits_engine.billing.entitlements.moved_anchors import is_opened
from credits_engine.billing.entitlements.price_list import catalogue
from credits_engine.billing.entitlements.sync_run import CLOCK, SyncRun
from credits_engine.billing.store import accounts
from credits_engine.engines.amounts import NOTHING
from credits_engine.engines.credit_plan import CreditPlan
from credits_engine.engines.periods import Period, PeriodRow, billing_period
from credits_engine.engines.plans import UnknownPlanError
from credits_engine.engines.receipts import EntryType
from credits_engine.operations import rollovers
from credits_engine.store import books, members

log = structlog.get_logger()


def close_crossed(
    run: SyncRun, entitlement: Entitlement, known: Sequence[History], rows: Sequence[PeriodRow]
) -> list[str]:
    """End the period that reaches across a moved and paid anchor, once per paid period."""
    session, user_id, start = run.session, run.account.user_id, entitlement.opened_at
    crossed = overlap_at(rows, start) if start else None
    if start is None or crossed is None or entitlement.subscription_id is None:
        return []
    # A use after the anchor, before we knew of it, has its place in the old period: the cut comes after it.
    at = truncate_at(crossed.period, start, last_used_at=accounts.last_used_at(session, user_id), now=run.now)
    places = reschedule(crossed.later, start)
    if at is None or len(places) < len(crossed.later):
        return []
    if not accounts.record_opening(
        session, entitlement.subscription_id, start, user_id=user_id, event_id=run.cause, now=run.now
    ):
        # This payment has opened its period before, so a second allowance would be a gift.
        if run.merged_at is None or start > run.merged_at:
            metrics.trip(session, metrics.RESET_TWICE, user=user_id, stripe_event=run.cause)
        return []
    ended = Period(crossed.period.start, at)
    plan = plan_within(ended, known, catalogue(), run.now, run.merged) or _original_plan(run)
    # What the clock opened since knew only the older anchor. Nothing counts there, so it begins where it belongs.
    for period, place in {crossed.period: ended, **places}.items():
        accounts.move_period(session, user_id, period, place)
    if plan is not None:
        rollovers.change_limits(session, user_id, ended, plan)
    reason = f"Credits reset for {user_id}: a period paid for begins at {at:%Y-%m-%dT%H:%M:%SZ}."
    log.info("billing.period_closed", user=user_id, stripe_event=run.cause, reason=reason)
    return [run.journal(EntryType.PERIOD_CLOSE, ended, plan, reason)]


def _original_plan(run: SyncRun) -> CreditPlan | None:
    """Return the plan of before the first subscription; None where the catalogue lacks it by now."""
    try:
        return catalogue().plan(run.account.original_plan)
    except UnknownPlanError:
        return None


def undo_opening(run: SyncRun, entitlement: Entitlement, known: Sequence[History], row: PeriodRow) -> list[str]:
    """Let the running period count what was used before it, where the payment that opened it was no new money.

    What was credited for time that was paid before may be told after what it paid for.
    """
    session, user_id = run.session, run.account.user_id
    before = None if run.cause == CLOCK else accounts.lock_period_before(session, user_id, row.period)
    if before is None:
        return []
    names = [each.subscription_id for each in known]
    opened = accounts.openings_between(session, names, before.period.start, row.period.start)
    if not opened or any(is_opened(start, known) for _, start in opened):
        return []
    accounts.forget_openings(session, opened)
    end = billing_period(entitlement.anchor, run.now).end if entitlement.anchor else row.period.end
    period = Period(row.period.start, end)
    accounts.move_period(session, user_id, row.period, period)
    books.post_each(session, user_id, v2=(period, before.used), legacy=(period, NOTHING))
    members.move_entries(session, user_id, before.period.start, to=period.start)
    reason = f"What was used since {before.period.start:%Y-%m-%dT%H:%M:%SZ} counts on: no new money opened a period."
    log.info("billing.opening_undone", user=user_id, stripe_event=run.cause, reason=reason)
    return [run.journal(EntryType.ADJUST, period, catalogue().plan(row.plan), reason, before.used)]


def aligned(run: SyncRun, entitlement: Entitlement, row: PeriodRow | None) -> PeriodRow | None:
    """Let the calendar month that the sweep had opened for a first subscriber end with their billing period.

    Only where nothing counts in it: so it does not depend on the sweep, and nobody gets a second allowance.
    """
    if row is None or row.is_used or run.account.anchor is not None or entitlement.anchor is None:
        return row
    wanted = billing_period(entitlement.anchor, run.now)
    period = Period(max(wanted.start, row.period.start), wanted.end)
    if period != row.period:
        accounts.move_period(run.session, run.account.user_id, row.period, period)
    return PeriodRow(period, row.plan)
