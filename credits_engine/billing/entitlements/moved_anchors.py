"""Whether the payment for an anchor that moved opens a period in which nothing is used: only new money does.

What is credited for the rest of a plan pays for no second allowance of it. Or whoever goes from a month to a year and
back, or leaves and subscribes again, would have one each time, for the price of a day.
"""

from collections.abc import Iterable
from datetime import datetime

from credits_engine.billing.entitlements.history import History
from credits_engine.billing.entitlements.subscriptions import SHORT
from credits_engine.billing.facts import InvoicePaid
from credits_engine.engines.periods import months_after


def opened_at(anchor: datetime, own: History, known: Iterable[History], now: datetime) -> datetime | None:
    """Return the anchor if a payment opened the period that begins there; None while it has not come."""
    if anchor > now:
        return None
    paid = sorted((each for history in known for each in history.paid), key=lambda each: (each.at, each.invoice_id))
    of_it = [each for each in own.paid if each.period and each.period.start == anchor and each.total > 0]
    return anchor if any(_opens(each, paid[: paid.index(each)], own) for each in of_it) else None


def _opens(invoice: InvoicePaid, earlier: list[InvoicePaid], own: History) -> bool:
    return _is_new_money(invoice, earlier) and not _is_within_a_month(invoice, earlier, own)


def _is_new_money(invoice: InvoicePaid, earlier: list[InvoicePaid]) -> bool:
    """Return whether at least half of it is paid by something else than credits for what was paid before."""
    balance = 0
    for each in earlier:
        # An invoice below zero is put on the customer's balance, from which the next ones are paid.
        balance = max(0, balance - each.total)
    return 2 * (invoice.total - balance) >= invoice.total + invoice.credited_of_others


def _is_within_a_month(invoice: InvoicePaid, earlier: list[InvoicePaid], own: History) -> bool:
    """Return whether it is for less than a month of which the credits were granted already by a payment before."""
    period = invoice.period
    if period is None or period.end - period.start >= SHORT:
        return False
    return any(
        each.period and each.total > 0 and each.period.start < period.start < months_after(each.period.start, 1)
        for each in earlier
        if own.payments.paid_share_of(each) > 0
    )
