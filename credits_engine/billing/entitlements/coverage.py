"""The coverage of a subscription: the spans for which its invoices pay a plan, and what refunds leave of them.

A plan that somebody switched to counts at once. What they switched away from counts on only as far as it was paid for,
or the highest plan could be had for nothing by switching to it for a minute.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction

from credits_engine.billing.entitlements.prices import bought, plan_of, service_period
from credits_engine.billing.facts import (
    GOOD,
    CreditNote,
    Fact,
    InvoiceFailed,
    InvoiceLine,
    InvoicePaid,
    InvoiceVoided,
    Item,
    Payment,
    Refund,
    Snapshot,
)
from credits_engine.engines.periods import Period
from credits_engine.engines.plans import Catalogue, CreditPlan

INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Coverage:
    """A plan that is paid for within a period. One that `is_cut` ends early because the rest was given back."""

    plan: CreditPlan
    period: Period
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class Payments:
    """The known invoices of one subscription."""

    paid: tuple[InvoicePaid, ...] = ()
    unpaid: frozenset[datetime] = frozenset()
    """Starts of periods whose invoice nobody paid: it failed, or was voided, and no payment came."""
    given_back: Mapping[str, Fraction] | None = None
    """Which share of which invoice was given back, where any was."""

    def paid_share_of(self, invoice: InvoicePaid) -> Fraction:
        """Return the share of the payment that was not given back."""
        return 1 - (self.given_back or {}).get(invoice.invoice_id, Fraction(0))


@dataclass(frozen=True, slots=True)
class _Charge:
    """A line of a paid invoice, the plan it is for, and the share of the invoice that was not given back."""

    invoice_id: str
    line: InvoiceLine
    plan: CreditPlan
    paid_share: Fraction


def payments_of(subscription_id: str, known: Iterable[Fact], given_back: Mapping[str, Fraction]) -> Payments:
    """The payments of one subscription among all facts."""
    facts = [each for each in known if getattr(each, "subscription_id", None) == subscription_id]
    paid = tuple(each for each in facts if isinstance(each, InvoicePaid))
    closed = {each.invoice_id for each in paid}
    open_ = (
        each for each in facts if isinstance(each, InvoiceFailed | InvoiceVoided) and each.invoice_id not in closed
    )
    return Payments(paid, frozenset(each.period.start for each in open_ if each.period), given_back)


def given_back(known: Iterable[Fact]) -> dict[str, Fraction]:
    """Which share of which invoice was given back: by refunds of its charges, and by credit notes beside those."""
    facts = list(known)
    shares = {invoice_id: _share(refunds) for invoice_id, refunds in _refunds(facts).items()}
    totals = {each.invoice_id: each.total for each in facts if isinstance(each, InvoicePaid)}
    notes = [each for each in facts if isinstance(each, CreditNote)]
    void = {note.credit_note_id for note in notes if note.is_void}
    for note in notes:
        if note.credit_note_id not in void and (total := totals.get(note.invoice_id, 0)) > 0:
            # What a note gives back by a refund is not in its amount (`_credited`), so nothing is counted twice.
            share = shares.get(note.invoice_id, Fraction(0)) + Fraction(note.amount, total)
            shares[note.invoice_id] = min(Fraction(1), share)
    return shares


def coverages(granting: list[Snapshot], payments: Payments, catalogue: Catalogue) -> list[Coverage]:
    """Everything that is paid for. A service period ends early where the anchor moved and the next one began."""
    starts = sorted({period.start for each in granting if (period := service_period(each, catalogue))})
    found = [*_invoiced(granting, payments, catalogue), *_taken_as_paid(granting, payments, catalogue)]
    return [replace(each, period=own) for each in found if (own := _within_its_period(each.period, starts))]


def _refunds(facts: Iterable[Fact]) -> dict[str, list[Refund]]:
    """The latest word on each refunded charge by invoice, which it names itself or shares a payment with."""
    known = list(facts)
    invoices = {each.payment_intent: each.invoice_id for each in known if isinstance(each, InvoicePaid)}
    invoices |= {each.payment_intent: each.invoice_id for each in known if isinstance(each, Payment)}
    latest: dict[str, Refund] = {}
    for refund in (each for each in known if isinstance(each, Refund)):
        before = latest.get(refund.charge_id)
        # Stripe states the total refunded of a charge, so the largest is the latest, in whatever order they arrive.
        if before is None or before.amount_refunded < refund.amount_refunded:
            latest[refund.charge_id] = refund
    found: dict[str, list[Refund]] = {}
    for refund in latest.values():
        invoice_id = refund.invoice_id or (invoices.get(refund.payment_intent) if refund.payment_intent else None)
        if invoice_id:
            found.setdefault(invoice_id, []).append(refund)
    return found


def _share(refunds: Sequence[Refund]) -> Fraction:
    """The refunded share, by one cent more than was refunded: a share of days has no exact amount of cents."""
    amount, refunded = sum(each.amount for each in refunds), sum(each.amount_refunded for each in refunds)
    if refunded <= 0 or amount <= 0:
        return Fraction(0)
    return min(Fraction(1), Fraction(refunded + 1, amount))


def _invoiced(granting: list[Snapshot], payments: Payments, catalogue: Catalogue) -> Iterator[Coverage]:
    items = {item.price_id: item for each in granting for item in each.items}
    charged: dict[str, list[_Charge]] = {}
    for invoice in payments.paid:
        known = [(line, plan) for line in invoice.lines if (plan := _plan(line, items, catalogue))]
        for line, plan in known:
            charged.setdefault(plan.name, []).append(
                _Charge(invoice.invoice_id, line, plan, payments.paid_share_of(invoice))
            )
        if not known and (inferred := _inferred(invoice, granting, payments, catalogue)):
            yield inferred
    for charges in charged.values():
        yield from _charged(charges)


def _charged(charges: Sequence[_Charge]) -> Iterator[Coverage]:
    """Yield the coverage left of one plan: to a line's end, to a later credit for the rest, or as a refund left it."""
    credited = _credited(charges)
    for each in charges:
        period = each.line.period
        end = min([period.end, *(at for at in credited if period.start <= at)])
        if each.line.amount > 0 and (left := _shortened(period, each.paid_share, end)):
            yield Coverage(each.plan, left, is_cut=left.end < period.end)


def _credited(charges: Iterable[_Charge]) -> list[datetime]:
    """From when on the rest of a plan was credited; where the same invoice charges it anew, it was only changed."""
    sums: dict[tuple[str, datetime], int] = {}
    for each in charges:
        key = each.invoice_id, each.line.period.start
        sums[key] = sums.get(key, 0) + each.line.amount
    return [start for (_, start), amount in sums.items() if amount < 0]


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
    shortened = _shortened(period, payments.paid_share_of(invoice), period.end) if period else None
    if period is None or shortened is None:
        return None
    return Coverage(plan_of(snapshot, catalogue), shortened, is_cut=shortened.end < period.end)


def _taken_as_paid(granting: list[Snapshot], payments: Payments, catalogue: Catalogue) -> Iterator[Coverage]:
    """Periods that cost nothing, or of whose invoice nothing is known: the plan they began with in good standing."""
    known = {each.period.start for each in payments.paid if each.period and not _is_free(each)} | payments.unpaid
    first: dict[datetime, tuple[Snapshot, Period]] = {}
    for each in granting:
        period = service_period(each, catalogue)
        if period and each.status in GOOD and period.start not in known:
            first.setdefault(period.start, (each, period))
    for snapshot, period in first.values():
        yield Coverage(plan_of(snapshot, catalogue), period)


def _is_free(invoice: InvoicePaid) -> bool:
    """Return whether the invoice asks for nothing, as for a trial; one with a coupon for all of it names what it is
    worth.
    """
    return invoice.total == 0 and bool(invoice.lines) and all(line.amount == 0 for line in invoice.lines)


def _plan(line: InvoiceLine, items: Mapping[str, Item], catalogue: Catalogue) -> CreditPlan | None:
    """The plan that a line is for; lines of newer generations name only the price's id."""
    if line.amount == 0:
        return None
    known = items.get(line.price_id)
    return bought(Item(line.price_id, line.lookup_key or (known.lookup_key if known else None), None), catalogue)


def _shortened(period: Period, paid_share: Fraction, end: datetime) -> Period | None:
    """The part from the start on that the kept share of the money pays for, `end` at the latest."""
    # In whole microseconds and fractions: floats would round, and an end must not depend on how it was reached.
    whole = (period.end - period.start) // INSTANT
    paid_until = period.start + INSTANT * int(whole * paid_share)
    last = min(paid_until, end)
    return Period(period.start, last) if last > period.start else None


def _within_its_period(period: Period, starts: list[datetime]) -> Period | None:
    end = min([period.end, *(start for start in starts if start > period.start)])
    return Period(period.start, end) if end > period.start else None
