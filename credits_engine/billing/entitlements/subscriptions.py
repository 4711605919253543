"""The entitlement of one subscription at an instant, as a function of every fact known about it.

The service period is what Stripe bills, a year for a yearly price. The credit period is a month of it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from credits_engine.billing.entitlements.coverage import Coverage, Payments, coverages, given_back, payments_of
from credits_engine.billing.entitlements.prices import highest, plan_of, service_period
from credits_engine.billing.facts import (
    FAILING,
    GOOD,
    GRANTING,
    TERMINAL,
    Fact,
    InvoiceFailed,
    InvoicePaid,
    InvoiceVoided,
    Snapshot,
    Source,
    Status,
)
from credits_engine.engines.periods import Period, billing_period
from credits_engine.engines.plans import Catalogue, CreditPlan

GRACE = timedelta(days=5)
FREE = "free"
# Where two snapshots of one second differ in nothing else, the one later in this list is believed.
PROGRESS = (
    Status.INCOMPLETE,
    Status.TRIALING,
    Status.UNPAID,
    Status.PAST_DUE,
    Status.PAUSED,
    Status.ACTIVE,
    Status.INCOMPLETE_EXPIRED,
    Status.CANCELED,
)


@dataclass(frozen=True, slots=True)
class History:
    """Everything known about one subscription, in Stripe's order whatever the order of arrival."""

    subscription_id: str
    snapshots: tuple[Snapshot, ...]
    failed: tuple[InvoiceFailed, ...]
    """Failures of invoices that were neither paid nor voided since."""
    payments: Payments
    """What was paid, what of it was given back, and what nobody paid."""

    @property
    def newest(self) -> Snapshot:
        """The latest state known."""
        return self.snapshots[-1]

    @property
    def paid(self) -> tuple[InvoicePaid, ...]:
        """The invoices that were paid, given back or not."""
        return self.payments.paid

    @property
    def grants(self) -> list[Snapshot]:
        """The snapshots in states that grant something: none before the first payment, none after the end."""
        return [each for each in self.snapshots if each.status in GRANTING]


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
    opened_at: datetime | None = None
    """The start of a paid period that the anchor moved to: whatever was used before it no longer counts."""
    due: tuple[datetime, ...] = ()


def order(snapshot: Snapshot) -> tuple[object, ...]:
    """Stripe's order of snapshots: an end is final, then the time of the event, then what the object itself tells."""
    return (
        # An end is final: an older state that arrives later does not bring the subscription back.
        snapshot.status in TERMINAL,
        snapshot.at,
        # What an update replaced has the update's own second, and comes before it.
        snapshot.source is not Source.BEFORE,
        snapshot.period_start or snapshot.at,
        tuple(Source).index(snapshot.source),
        PROGRESS.index(snapshot.status),
        snapshot.identity,
    )


def histories(facts: Iterable[Fact]) -> list[History]:
    """The facts of one user by subscription; a subscription is known from its first snapshot on."""
    known = set(facts)
    names = sorted({each.subscription_id for each in known if isinstance(each, Snapshot)})
    closed = {each.invoice_id for each in known if isinstance(each, InvoicePaid | InvoiceVoided)}
    failed = [each for each in known if isinstance(each, InvoiceFailed) and each.invoice_id not in closed]
    shares = given_back(known)
    return [
        History(
            name,
            _ordered(each for each in known if isinstance(each, Snapshot) and each.subscription_id == name),
            tuple(invoice for invoice in failed if invoice.subscription_id == name),
            payments_of(name, known, shares),
        )
        for name in names
    ]


def entitlement_of(history: History, now: datetime, catalogue: Catalogue) -> SubscriptionEntitlement | None:
    """Return the grant of the subscription at `now`; None if it never granted anything. Raises UnmappedPriceError."""
    if not history.grants:
        return None
    name = history.subscription_id
    period = _current_period(history, catalogue)
    end = ends_at(history, catalogue)
    if end is not None and now >= end:
        reason = f"Subscription {name} ended at {end:%Y-%m-%dT%H:%M:%SZ}."
        return SubscriptionEntitlement(name, catalogue.plan(FREE), reason, has_ended=True)
    plan = _plan_in_force(history, period, now, catalogue)
    anchor = _anchor(history, period)
    failing_since = _failing_since(history)
    blocked_at = failing_since + GRACE if failing_since else None
    paid_until = (each.period.end for each in _paid_for(history, catalogue) if now in each.period)
    # Every instant at which the clock alone changes something: the sweep and the next operation look again by then.
    moments = (end, blocked_at, period.end, billing_period(anchor, now).end, *paid_until)
    return SubscriptionEntitlement(
        name,
        plan,
        f"Subscription {name} is {history.newest.status} and grants {plan.name}.",
        anchor=anchor,
        period=period,
        blocked=_blocked(history, failing_since, now),
        opened_at=_opened_at(history, anchor, now),
        due=tuple(sorted(moment for moment in moments if moment is not None and moment > now)),
    )


def ends_at(history: History, catalogue: Catalogue) -> datetime | None:
    """When its rights end: with the period where that was paid for, at the cancellation itself where it was not."""
    newest = history.newest
    period = _current_period(history, catalogue)
    if newest.status in TERMINAL:
        ended_at = newest.ended_at or newest.at
        paid_until = (each.period.end for each in _paid_for(history, catalogue) if each.period.start >= period.start)
        return max([ended_at, *paid_until])
    if newest.cancel_at is not None:
        return newest.cancel_at
    return period.end if newest.ends_with_period else None


def best_plan(history: History, span: Period, catalogue: Catalogue) -> CreditPlan | None:
    """The highest plan in force at any time within `span`; None where none was. Raises UnmappedPriceError."""
    end = ends_at(history, catalogue) if history.grants else None
    if not history.grants or (end is not None and end <= span.start):
        return None
    dated = _dated(history, catalogue)
    during = [each for each, period in dated if period.end > span.start and _effective_at(each, period) < span.end]
    earlier = [each for each, period in dated if period.end <= span.start]
    # What was given back lowers the limits when it ends; what ran out by itself only with the next period.
    paid_for = [
        each.plan
        for each in _paid_for(history, catalogue)
        if _overlap(each.period, span) and not (each.is_cut and each.period.end < span.end)
    ]
    # After an end, what was paid for alone counts: the last state may be an upgrade that nobody paid.
    if not (history.newest.status in TERMINAL and paid_for) and (granting := during or earlier):
        paid_for.append(_newest_plan(granting, catalogue))
    return highest(paid_for, catalogue) if paid_for else None


def _ordered(snapshots: Iterable[Snapshot]) -> tuple[Snapshot, ...]:
    """In Stripe's order; of several updates within the last second, that one last which no other says it replaced."""
    ordered = sorted(snapshots, key=order)
    last = [each for each in ordered if order(each)[:3] == order(ordered[-1])[:3]]
    replaced = {each.replaces for each in last if each.replaces != each.content}
    final = [each for each in last if each.content not in replaced]
    if len(final) == 1:
        ordered.remove(final[0])
        ordered.append(final[0])
    return tuple(ordered)


def _dated(history: History, catalogue: Catalogue) -> list[tuple[Snapshot, Period]]:
    """Each granting snapshot with the period it speaks of, which a later one cuts short where the anchor moved."""
    dated = [(each, _period_of(each, catalogue)) for each in history.grants]
    starts = {period.start for _, period in dated}
    return [
        (each, Period(period.start, min({period.end, *(start for start in starts if start > period.start)})))
        for each, period in dated
    ]


def _plan_in_force(history: History, period: Period, now: datetime, catalogue: Catalogue) -> CreditPlan:
    """The plan of the newest state: an upgrade counts at once. A higher one counts on as far as it is paid for.

    After the end only what is paid for counts: the newest state may be an upgrade that nobody paid.
    """
    newest = _newest_plan(history.grants, catalogue)
    paid_for = [each.plan for each in _paid_for(history, catalogue) if now in each.period]
    if now >= period.end or not paid_for:
        return newest
    return highest(paid_for if history.newest.status in TERMINAL else [newest, *paid_for], catalogue)


def _newest_plan(granting: list[Snapshot], catalogue: Catalogue) -> CreditPlan:
    """The plan of the last of these states; the highest of those of one second that don't say which came first."""
    rivals = [each for each in granting if order(each)[:3] == order(granting[-1])[:3]]
    replaced = {each.replaces for each in rivals if each.replaces != each.content}
    last = [each for each in rivals if each.content not in replaced] or granting[-1:]
    return highest([plan_of(each, catalogue) for each in last], catalogue)


def _paid_for(history: History, catalogue: Catalogue) -> list[Coverage]:
    return coverages(history.grants, history.payments, catalogue)


def _overlap(one: Period, other: Period) -> bool:
    return one.start < other.end and other.start < one.end


def _current_period(history: History, catalogue: Catalogue) -> Period:
    return service_period(history.newest, catalogue) or _period_of(history.grants[-1], catalogue)


def _period_of(snapshot: Snapshot, catalogue: Catalogue) -> Period:
    period = service_period(snapshot, catalogue)
    assert period is not None, f"{snapshot.identity} grants something and has no period"
    return period


def _effective_at(snapshot: Snapshot, period: Period) -> datetime:
    """From when on a snapshot speaks: what an update replaced held since its period began."""
    return period.start if snapshot.source is Source.BEFORE else max(snapshot.at, period.start)


def _anchor(history: History, period: Period) -> datetime:
    """The subscription's anchor; where the service period does not fit it, that period's own start."""
    anchor = history.newest.anchor or period.start
    fits = period.start <= anchor or billing_period(anchor, period.start).start == period.start
    return anchor if fits else period.start


def _opened_at(history: History, anchor: datetime, now: datetime) -> datetime | None:
    """Only money opens a period: flipping plans moves anchors too, and must never create allowance."""
    paid = any(each.period and each.period.start == anchor and each.total > 0 for each in history.paid)
    return anchor if paid and anchor <= now else None


def _failing_since(history: History) -> datetime | None:
    """The first failure since the subscription was last in good standing; None while it is."""
    newest = history.newest
    failures = [each.at for each in history.failed]
    match newest.status:
        case Status.ACTIVE | Status.TRIALING:
            return min((at for at in failures if at > newest.at), default=None)
        case Status.PAST_DUE | Status.UNPAID:
            if not failures and any(each.at > newest.at for each in history.paid):
                return None
            failures += [each.at for each in history.snapshots if each.status in FAILING]
            good = [each.at for each in history.snapshots if each.status in GOOD]
            return min(at for at in failures if not good or at >= max(good))
        case _:
            return None


def _blocked(history: History, failing_since: datetime | None, now: datetime) -> str | None:
    if history.newest.status is Status.PAUSED:
        return "The subscription is paused; resume it to go on."
    if failing_since is None or now < failing_since + GRACE:
        return None
    return (
        f"Payment has been failing since {failing_since:%Y-%m-%dT%H:%M:%SZ}, "
        f"longer than the {GRACE.days} days of grace; pay the open invoice to go on."
    )
