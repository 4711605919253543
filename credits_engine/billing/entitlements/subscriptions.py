"""The entitlement of one subscription at an instant, as a function of every fact known about it.

What is paid for and was not given back is granted; the newest state is granted as well while its payment is still to be
expected. The service period is what Stripe bills, a year for a yearly price. The credit period is a month of it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from credits_engine.billing.entitlements.coverage import Coverage, coverages
from credits_engine.billing.entitlements.history import History, order
from credits_engine.billing.entitlements.plan_of_prices import FREE, find_plan, highest, plan_of, service_period
from credits_engine.billing.entitlements.unpaid import Refusal, refusal
from credits_engine.billing.facts import TERMINAL, Snapshot, Source, Status
from credits_engine.engines.credit_plan import CreditPlan
from credits_engine.engines.periods import Period, billing_period
from credits_engine.engines.plans import Catalogue

INSTANT = timedelta(microseconds=1)
SHORT = timedelta(days=27)
"""Service periods below this are no months: a weekly price has a month's credits once a month."""


@dataclass(frozen=True, slots=True)
class SubscriptionEntitlement:
    """The grant of a subscription at one instant, its reason, and when the clock alone may change it."""

    subscription_id: str
    plan: CreditPlan
    reason: str
    has_ended: bool = False
    anchor: datetime | None = None
    period: Period | None = None
    blocked: str | None = None
    due: tuple[datetime, ...] = ()


def entitlement_of(history: History, now: datetime, catalogue: Catalogue) -> SubscriptionEntitlement | None:
    """Return the grant of the subscription at `now`; None if it never granted anything. Raises UnmappedPriceError."""
    if not history.grants:
        return None
    name = history.subscription_id
    period = _current_period(history, catalogue)
    paid = paid_coverages(history, catalogue)
    end = _ends_at(history, period, paid)
    if end is not None and now >= end:
        reason = f"Subscription {name} ended at {end:%Y-%m-%dT%H:%M:%SZ}."
        return SubscriptionEntitlement(name, catalogue.plan(FREE), reason, has_ended=True)
    newest = _newest_plan(history.grants, catalogue)
    refused = refusal(history, newest, period, catalogue)
    granted = [each.plan for each in paid if now in each.period]
    # After the end only what is paid for counts: the newest state may be an upgrade that nobody paid.
    if not (refused and refused.at <= now) and not (_is_over(history, now) and granted):
        granted.append(newest)
    plan = highest(granted or [newest], catalogue)
    anchor = anchor_of(history.newest, period)
    # Every instant at which the clock alone changes something: the sweep and the next operation look again by then.
    moments = [period.end, billing_period(anchor, now).end, *(each.period.end for each in paid if now in each.period)]
    moments += [each for each in (end, history.newest.cancel_at, refused and refused.at) if each]
    return SubscriptionEntitlement(
        name,
        plan,
        f"Subscription {name} is {history.newest.status} and grants {plan.name}.",
        anchor=anchor,
        period=period,
        blocked=_blocked(history, refused, is_granted=bool(granted), now=now),
        due=tuple(sorted(moment for moment in moments if moment > now)),
    )


def _ends_at(history: History, period: Period, paid: list[Coverage]) -> datetime | None:
    """Return when its rights end.

    They end with the period where that was paid for, at the cancellation itself where it was not.
    """
    newest, ends = history.newest, [each.period.end for each in paid]
    if newest.status in TERMINAL:
        return max([newest.ended_at or newest.at, *ends])
    end = newest.cancel_at or (period.end if newest.ends_with_period else None)
    if end is None:
        return None
    # Whoever leaves with money back leaves when the rest is used up, also where Stripe lets the period run to its end.
    # Where Stripe is to end it on a day within a period that is paid, the rest of that is had all the same.
    return max([newest.at if _is_given_back(history, period) else end, *ends])


def _is_over(history: History, now: datetime) -> bool:
    """Return whether the subscription has ended at Stripe, by its word or by the clock."""
    newest = history.newest
    return newest.status in TERMINAL or (newest.cancel_at is not None and newest.cancel_at <= now)


def _is_given_back(history: History, period: Period) -> bool:
    """Return whether any of what was paid for the current service period was given back."""
    return any(
        invoice.period == period or any(period.start <= line.period.start < period.end for line in invoice.lines)
        for invoice in history.paid
        if history.payments.paid_share_of(invoice) < 1
    )


def best_plan(history: History, span: Period, catalogue: Catalogue, now: datetime) -> CreditPlan | None:
    """Return the highest plan in force within `span`, as of `now`; None where none was. Raises UnmappedPriceError."""
    if not history.grants:
        return None
    paid = paid_coverages(history, catalogue)
    end = _ends_at(history, _current_period(history, catalogue), paid)
    if end is not None and end <= span.start:
        return None
    dated = _dated(history, catalogue)
    during = [each for each, period in dated if period.end > span.start and _effective_at(each, period) < span.end]
    earlier = [each for each, period in dated if period.end <= span.start]
    # What was given back lowers the limits when it ends; what ran out by itself only with the next period.
    paid_for = [
        each.plan for each in paid if _overlap(each.period, span) and not (each.is_cut and each.period.end < span.end)
    ]
    # After an end, what was paid for alone counts: the last state may be an upgrade that nobody paid. And once the
    # rights are over, all of them may have been given back.
    moment = min(now, span.end - INSTANT)
    is_over = (_is_over(history, moment) and paid_for) or (end is not None and end <= moment)
    if not is_over and (granting := during or earlier):
        plan = _newest_plan(granting, catalogue)
        refused = refusal(history, plan, _period_of(granting[-1], catalogue), catalogue)
        if not paid_for or refused is None or moment < refused.at:
            paid_for.append(plan)
    return highest(paid_for, catalogue) if paid_for else None


def _dated(history: History, catalogue: Catalogue) -> list[tuple[Snapshot, Period]]:
    """Return each granting snapshot of a plan we know with the period it speaks of.

    A later one cuts it short where the anchor moved.
    """
    dated = [(each, _period_of(each, catalogue)) for each in history.grants]
    starts = {period.start for _, period in dated}
    return [
        (each, Period(period.start, min({period.end, *(start for start in starts if start > period.start)})))
        for each, period in dated
        if find_plan(each, catalogue)
    ]


def _newest_plan(granting: list[Snapshot], catalogue: Catalogue) -> CreditPlan:
    """Return the plan of the last of these states.

    Of those of one second that don't say which came first, it is the highest.
    """
    rivals = [each for each in granting if order(each)[:3] == order(granting[-1])[:3]]
    replaced = {each.replaces for each in rivals if each.replaces != each.content}
    last = [each for each in rivals if each.content not in replaced] or granting[-1:]
    return highest([plan_of(each, catalogue) for each in last], catalogue)


def paid_coverages(history: History, catalogue: Catalogue) -> list[Coverage]:
    """Return everything of it that is paid for, or that costs nothing while it lasts."""
    found = coverages(history.grants, history.payments, catalogue)
    newest = history.newest
    ended_at = newest.ended_at or newest.at if newest.status in TERMINAL else newest.cancel_at
    if ended_at is None:
        return found
    return [left for each in found if (left := each.until(ended_at) if each.ends_with_subscription else each)]


def _overlap(one: Period, other: Period) -> bool:
    return one.start < other.end and other.start < one.end


def _current_period(history: History, catalogue: Catalogue) -> Period:
    return service_period(history.newest, catalogue) or _period_of(history.grants[-1], catalogue)


def _period_of(snapshot: Snapshot, catalogue: Catalogue) -> Period:
    period = service_period(snapshot, catalogue)
    assert period is not None, f"{snapshot.identity} grants something and has no period"
    return period


def _effective_at(snapshot: Snapshot, period: Period) -> datetime:
    """Return from when on a snapshot speaks: what an update replaced held since its period began."""
    return period.start if snapshot.source is Source.BEFORE else max(snapshot.at, period.start)


def anchor_of(snapshot: Snapshot, period: Period) -> datetime:
    """Return the anchor of this state; where the service period does not fit it, that period's own start."""
    anchor = snapshot.anchor or period.start
    if anchor <= period.start and period.end - period.start < SHORT:
        return anchor
    fits = period.start <= anchor or billing_period(anchor, period.start).start == period.start
    return anchor if fits else period.start


def _blocked(history: History, refused: Refusal | None, *, is_granted: bool, now: datetime) -> str | None:
    if history.newest.status is Status.PAUSED:
        return "The subscription is paused; resume it to go on."
    if history.disputed_at is not None and history.is_frozen_at(now):
        return (
            f"A payment is disputed since {history.disputed_at:%Y-%m-%dT%H:%M:%SZ}; this ends when the dispute is won."
        )
    return refused.sentence if refused and not is_granted else None
