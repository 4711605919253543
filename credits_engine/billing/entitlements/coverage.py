"""The coverage of a subscription: the spans for which its invoices pay a plan, and what refunds leave of them.

A plan that somebody switched to counts at once. What they switched away from counts on only as far as it was paid for,
or the highest plan could be had for nothing by switching to it for a minute.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from fractions import Fraction

from credits_engine.billing.entitlements.plan_of_prices import bought, find_plan, service_period
from credits_engine.billing.facts import (
    FAILING,
    GOOD,
    InvoiceItem,
    InvoiceLine,
    InvoicePaid,
    Item,
    Snapshot,
    Status,
)
from credits_engine.engines.credit_plan import CreditPlan
from credits_engine.engines.periods import Period
from credits_engine.engines.plans import Catalogue

INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Coverage:
    """A plan that is paid for within a period. One that `is_cut` ends early because the rest was given back."""

    plan: CreditPlan
    period: Period
    is_cut: bool = False
    ends_with_subscription: bool = False
    """Whether nothing pays for it: a trial, or a period that its invoice was still to be paid for."""

    def until(self, end: datetime) -> "Coverage | None":
        """Return the part of it before `end`; None where it begins then."""
        period = self.period
        left = Period(period.start, min(period.end, end)) if period.start < end else None
        return replace(self, period=left) if left else None


@dataclass(frozen=True, slots=True)
class Payments:
    """The known invoices of one subscription."""

    paid: tuple[InvoicePaid, ...] = ()
    items: tuple[InvoiceItem, ...] = ()
    """Prorations that wait for an invoice."""
    unpaid: frozenset[datetime] = frozenset()
    """Starts of periods whose invoice nobody paid: it failed, or was voided, and no payment came."""
    given_back: Mapping[str, Fraction] = field(default_factory=dict)
    """Which share of which invoice was given back, where any was."""
    lost: Mapping[str, datetime] = field(default_factory=dict)
    """The invoices whose payment was lost in a dispute, and when."""
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The lookup keys by which each price was known."""

    def paid_share_of(self, invoice: InvoicePaid) -> Fraction:
        """Return the share of the payment that was not given back."""
        return 1 - self.given_back.get(invoice.invoice_id, Fraction(0))


@dataclass(frozen=True, slots=True)
class _Charge:
    """A line of a paid invoice, the plan it is for, and the share of it that was paid and not given back."""

    invoice_id: str
    line: InvoiceLine
    plan: CreditPlan
    paid_share: Fraction


def coverages(granting: list[Snapshot], payments: Payments, catalogue: Catalogue) -> list[Coverage]:
    """Return everything that is paid for. A service period ends early where the anchor moved and the next one began."""
    # A period that nobody paid ends none that was paid: the customer still has what they bought before it.
    starts = sorted(
        {period.start for each in granting if (period := service_period(each, catalogue))} - _unpaid(granting, payments)
    )
    found = [*_invoiced(granting, payments, catalogue), *_taken_as_paid(granting, payments, catalogue)]
    return [replace(each, period=own) for each in found if (own := _within_its_period(each.period, starts))]


def plan_of_line(line: InvoiceLine, keys: Mapping[str, tuple[str, ...]], catalogue: Catalogue) -> CreditPlan | None:
    """Return the plan that a line is for; lines of newer generations name only the price's id."""
    return bought(
        Item(line.price_id, line.lookup_key, None, keys.get(line.price_id, ()), quantity=line.quantity), catalogue
    )


def _invoiced(granting: list[Snapshot], payments: Payments, catalogue: Catalogue) -> Iterator[Coverage]:
    charged: dict[str, list[_Charge]] = {}
    unpaid = _unpaid_periods(granting, payments, catalogue)
    for invoice in sorted(payments.paid, key=lambda each: (each.at, each.invoice_id)):
        lines = [(line, plan_of_line(line, payments.keys, catalogue)) for line in invoice.lines]
        # A line over nothing, as for a trial, names its plan and pays for nothing.
        known = [(line, plan) for line, plan in lines if plan and line.amount]
        share = payments.paid_share_of(invoice) * _share_in_money(known, charged, unpaid)
        for line, plan in known:
            charged.setdefault(plan.name, []).append(_Charge(invoice.invoice_id, line, plan, share))
        is_named = any(plan for _, plan in lines)
        if not is_named and (inferred := _inferred(invoice, granting, payments, catalogue)):
            yield inferred
    waiting = _credited_by_items(payments, catalogue)
    for name, charges in charged.items():
        yield from _charged(charges, waiting.get(name))


def _unpaid_periods(granting: list[Snapshot], payments: Payments, catalogue: Catalogue) -> list[Period]:
    """Return the service periods that nobody paid, each to where the next one begins."""
    dated = [period for each in granting if (period := service_period(each, catalogue))]
    starts, unpaid = sorted({each.start for each in dated}), _unpaid(granting, payments)
    found = (_within_its_period(each, starts) for each in dated if each.start in unpaid)
    return [each for each in found if each]


def _share_in_money(
    lines: Sequence[tuple[InvoiceLine, CreditPlan]], earlier: Mapping[str, list[_Charge]], unpaid: Sequence[Period]
) -> Fraction:
    """Return the share of what an invoice charges that is not paid by a credit for time that nobody paid.

    Stripe credits the rest of a plan also where its own invoice is still open: or one more seat would pay for all.
    """
    charged = sum(line.amount for line, _ in lines if line.amount > 0)
    owed = sum(
        -line.amount * (1 - _paid_share(earlier.get(plan.name, ()), line.period.start, unpaid))
        for line, plan in lines
        if line.amount < 0
    )
    return max(Fraction(0), 1 - Fraction(owed) / charged) if charged else Fraction(1)


def _paid_share(charges: Iterable[_Charge], at: datetime, unpaid: Sequence[Period]) -> Fraction:
    """Return which share of a plan was paid that is credited from `at` on."""
    paid = [each.paid_share for each in charges if each.line.amount > 0 and at in each.line.period]
    if paid:
        return paid[-1]
    return Fraction(0) if any(at in each for each in unpaid) else Fraction(1)


def _charged(charges: Sequence[_Charge], waiting: datetime | None) -> Iterator[Coverage]:
    """Yield the coverage left of one plan: to a line's end, to a later credit for the rest, or as a refund left it."""
    credited = [*_credited(charges), *([waiting] if waiting else [])]
    for each in charges:
        period = each.line.period
        end = min([period.end, *(at for at in credited if period.start <= at)])
        if each.line.amount > 0 and (left := _shortened(period, each.paid_share, end)):
            yield Coverage(each.plan, left, is_cut=left.end < period.end)


def _credited_by_items(payments: Payments, catalogue: Catalogue) -> dict[str, datetime]:
    """Return from when on prorations that wait for an invoice give back the rest of a plan, where they do so in sum."""
    latest: dict[str, InvoiceItem] = {}
    for item in sorted(payments.items, key=lambda each: (each.is_deleted, each.at, each.identity)):
        latest[item.item_id] = item
    sums: dict[str, int] = {}
    found: dict[str, datetime] = {}
    for item in sorted(latest.values(), key=lambda each: (each.line.period.start, each.line.amount)):
        plan = None if item.is_deleted else plan_of_line(item.line, payments.keys, catalogue)
        if plan is None:
            continue
        before, sums[plan.name] = sums.get(plan.name, 0), sums.get(plan.name, 0) + item.line.amount
        if before >= 0 > sums[plan.name]:
            found[plan.name] = item.line.period.start
        # Charged anew, for fewer seats in the same second or after some days on another plan, it goes on from then.
        elif sums[plan.name] >= 0 or item.line.amount > 0:
            found.pop(plan.name, None)
            sums[plan.name] = max(0, sums[plan.name])
    return found


def _credited(charges: Iterable[_Charge]) -> list[datetime]:
    """Return from when on the rest of a plan was credited; where the same invoice charges it anew, it was only changed.

    Fewer seats, or a cheaper price of the plan, are charged less than what was credited, and are still the plan. Where
    all of the invoice was given back, so was what the credit had bought, and the rest is paid as before.
    """
    paid = [each for each in charges if each.paid_share]
    named = {(each.invoice_id, each.line.period.start): each.line.amount < 0 for each in paid}
    for each in paid:
        if each.line.amount > 0:
            named[each.invoice_id, each.line.period.start] = False
    return [start for (_, start), is_credited in named.items() if is_credited]


def _inferred(
    invoice: InvoicePaid, granting: list[Snapshot], payments: Payments, catalogue: Catalogue
) -> Coverage | None:
    """Infer the coverage of an invoice that names no price we know: the plan as it stood when it was paid."""
    before = [each for each in granting if each.at <= invoice.at]
    if not granting or (invoice.period is None and invoice.total <= 0):
        return None
    snapshot = before[-1] if before else granting[0]
    period = invoice.period
    if period is None and (served := service_period(snapshot, catalogue)) and invoice.at < served.end:
        period = Period(invoice.at, served.end)
    share = payments.paid_share_of(invoice)
    shortened = _shortened(period, share, period.end) if period else None
    plan = find_plan(snapshot, catalogue)
    if period is None or shortened is None or plan is None:
        return None
    return Coverage(plan, shortened, is_cut=shortened.end < period.end)


def _taken_as_paid(granting: list[Snapshot], payments: Payments, catalogue: Catalogue) -> Iterator[Coverage]:
    """Return periods that cost nothing, or whose invoice is unknown: the plan they began with in good standing.

    Stripe leaves the invoice of a renewal, or of the first period after a trial, a draft for an hour. Nobody pays that
    of a subscription which ends meanwhile, and no event says so.
    """
    invoiced = {each.period.start for each in payments.paid if each.period}
    known = {each.period.start for each in payments.paid if each.period and not _is_free(each)}
    unpaid = _unpaid(granting, payments)
    first: dict[datetime, tuple[Snapshot, Period]] = {}
    for each in granting:
        period = service_period(each, catalogue)
        if period and each.status in GOOD and period.start not in known | unpaid:
            first.setdefault(period.start, (each, period))
    trials = {start for start, (snapshot, _) in first.items() if snapshot.status is Status.TRIALING}
    begun = min(known | trials, default=None)
    for start, (snapshot, period) in first.items():
        is_to_be_paid = begun is not None and begun < start and start not in invoiced
        if plan := find_plan(snapshot, catalogue):
            yield Coverage(plan, period, ends_with_subscription=start in trials or is_to_be_paid)


def _is_free(invoice: InvoicePaid) -> bool:
    """Return whether the invoice asks for nothing but what is paid once, as for a trial.

    One with a coupon for all of it names what it is worth.
    """
    return bool(invoice.lines) and all(line.amount == 0 for line in invoice.lines)


def _unpaid(granting: list[Snapshot], payments: Payments) -> set[datetime]:
    """Return starts of periods that nobody paid: their invoice says so, or the state they were left in."""
    paid = {each.period.start for each in payments.paid if each.period}
    failing = {each.period_start for each in granting if each.status in FAILING and each.period_start}
    first: dict[datetime | None, Snapshot] = {}
    for each in granting:
        first.setdefault(each.period_start, each)
    # While collecting is paused the invoice of a period is a draft, or void, or a gift. One that is sent is paid later.
    open_ = {start for start, each in first.items() if start and (each.pause or _is_paid_later(each))}
    return {*payments.unpaid, *failing, *open_} - paid


def _is_paid_later(snapshot: Snapshot) -> bool:
    """Return whether the period was begun on credit; a trial asks for nothing."""
    return snapshot.is_invoiced and snapshot.status is not Status.TRIALING


def _shortened(period: Period, paid_share: Fraction, end: datetime) -> Period | None:
    """Return the part from the start on that the kept share of the money pays for, `end` at the latest."""
    # In whole microseconds and fractions: floats would round, and an end must not depend on how it was reached.
    whole = (period.end - period.start) // INSTANT
    paid_until = period.start + INSTANT * int(whole * paid_share)
    last = min(paid_until, end)
    return Period(period.start, last) if last > period.start else None


def _within_its_period(period: Period, starts: list[datetime]) -> Period | None:
    end = min([period.end, *(start for start in starts if start > period.start)])
    return Period(period.start, end) if end > period.start else None
