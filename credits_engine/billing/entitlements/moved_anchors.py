"""Whether an anchor that moved begins a period in which nothing is used: only new money makes it so.

What is credited for the rest of a plan pays for no second allowance of it. Or whoever goes from a month to a year and
back, or leaves and subscribes again, would have one each time, for the price of a day. Until then months are counted on
as before: a short period up to the new anchor would be a second allowance too.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from credits_engine.billing.entitlements.coverage import coverages
from credits_engine.billing.entitlements.history import History
from credits_engine.billing.entitlements.subscriptions import SHORT
from credits_engine.billing.facts import InvoicePaid
from credits_engine.engines.periods import billing_period, months_after
from credits_engine.engines.plans import Catalogue


def opened_at(anchor: datetime, own: History, known: Iterable[History], now: datetime) -> datetime | None:
    """Return the anchor if a payment opened the period that begins there; None while it has not come."""
    if anchor > now:
        return None
    paid = _by_time(known)
    of_it = [each for each in own.paid if each.period and each.period.start == anchor and each.total > 0]
    return anchor if any(_opens(each, paid[: paid.index(each)], own) for each in of_it) else None


def counted_from(anchor: datetime, known: Sequence[History], now: datetime, catalogue: Catalogue) -> datetime:
    """Return the anchor that months are counted from: this one, or the last paid one if its credits last until then."""
    paid = _by_time(known)
    opened = [
        start
        for history in known
        for invoice in history.paid
        if (start := _start_of_opened(invoice, history, paid, now)) is not None
    ]
    if not opened or anchor in opened:
        return anchor
    last = max(opened)
    month = billing_period(last, anchor)
    spans = (each.period for history in known for each in coverages(history.grants, history.payments, catalogue))
    return last if any(span.start < anchor and month.start < span.end for span in spans) else anchor


def _start_of_opened(
    invoice: InvoicePaid, history: History, paid: Sequence[InvoicePaid], now: datetime
) -> datetime | None:
    """Return the start of the period that an invoice opened; None for one that only goes on."""
    start = invoice.period.start if invoice.period and invoice.total > 0 else None
    if start is None or start > now or all(each.anchor != start for each in history.snapshots):
        return None
    return start if _opens(invoice, paid[: paid.index(invoice)], history) else None


def _by_time(known: Iterable[History]) -> list[InvoicePaid]:
    return sorted((each for history in known for each in history.paid), key=lambda each: (each.at, each.invoice_id))


def _opens(invoice: InvoicePaid, earlier: Sequence[InvoicePaid], own: History) -> bool:
    return _is_new_money(invoice, earlier) and not _is_within_a_month(invoice, earlier, own)


def _is_new_money(invoice: InvoicePaid, earlier: Sequence[InvoicePaid]) -> bool:
    """Return whether at least half of it is paid by something else than credits for what was paid before."""
    balance = 0
    for each in earlier:
        # An invoice below zero is put on the customer's balance, from which the next ones are paid.
        balance = max(0, balance - each.total)
    return 2 * (invoice.total - balance) >= invoice.total + invoice.credited_of_others


def _is_within_a_month(invoice: InvoicePaid, earlier: Sequence[InvoicePaid], own: History) -> bool:
    """Return whether it is for less than a month of which the credits were granted already by a payment before."""
    period = invoice.period
    if period is None or period.end - period.start >= SHORT:
        return False
    return any(
        each.period and each.total > 0 and each.period.start < period.start < months_after(each.period.start, 1)
        for each in earlier
        if own.payments.paid_share_of(each) > 0
    )
