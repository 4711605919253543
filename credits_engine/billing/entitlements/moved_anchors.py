"""Whether an anchor that moved begins a period in which nothing is used: only new money makes it so.

What is credited for the rest of a plan pays for no second allowance of it. Or whoever goes from a month to a year and
back, or leaves and subscribes again, would have one each time, for the price of a day. Until then months are counted on
as before: a short period up to the new anchor would be a second allowance too.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from credits_engine.billing.entitlements.history import History, order
from credits_engine.billing.entitlements.plan_of_prices import service_period
from credits_engine.billing.entitlements.subscriptions import SHORT, anchor_of, paid_coverages
from credits_engine.billing.facts import InvoicePaid, Status
from credits_engine.engines.periods import Period, billing_period
from credits_engine.engines.plans import Catalogue


def opened_at(anchor: datetime, own: History, known: Iterable[History], now: datetime) -> datetime | None:
    """Return the anchor if a payment opened the period that begins there; None while it has not come."""
    is_opened = any(each.period.start == anchor for each in _openings(known, anchor) if each.history is own)
    return anchor if is_opened and anchor <= now else None


def is_opened(start: datetime, known: Sequence[History]) -> bool:
    """Return whether a payment opened a period that begins then."""
    return any(each.period.start == start for each in _openings(known, start))


def counted_from(anchor: datetime, known: Sequence[History], now: datetime, catalogue: Catalogue) -> datetime:
    """Return the anchor that months are counted from: the last paid one, or the first, if credits last since then."""
    opened = [each.period.start for each in _openings(known, anchor) if each.period.start <= now]
    if anchor in opened:
        return anchor
    last = max(opened, default=None)
    states = sorted((each for history in known for each in history.grants), key=order)
    dated = [(each, period) for each in states if (period := service_period(each, catalogue))]
    spans = [each.period for history in known for each in paid_coverages(history, catalogue)]
    # A trial that is made longer begins no other one.
    spans += [period for each, period in dated if each.status is Status.TRIALING]
    moved = [anchor_of(each, period) for each, period in dated if last is None or last < each.at]
    for each in (*moved, anchor):
        last = each if last is None or not _goes_on(last, each, spans) else last
    return last or anchor


@dataclass(frozen=True, slots=True)
class _Opening:
    """A payment for a period that begins with an anchor, and with nothing used."""

    history: History
    period: Period


def _openings(known: Iterable[History], anchor: datetime) -> list[_Opening]:
    """Return what opened a period, at this anchor or an earlier one, in the order of the payments."""
    histories = list(known)
    anchors = {each.subscription_id: {anchor, *(state.anchor for state in each.snapshots)} for each in histories}
    paid = [(invoice, history) for history in histories for invoice in history.paid]
    found: list[_Opening] = []
    earlier: list[InvoicePaid] = []
    balances: dict[tuple[str, str | None], int] = {}
    currencies = dict(sorted((each.customer_id, each.currency) for each, _ in paid if each.currency))
    for invoice, history in sorted(paid, key=lambda each: (each[0].at, each[0].invoice_id)):
        # A customer has a balance in each currency. Of an invoice whose currency was not read it is any of theirs.
        balance_key = invoice.customer_id, invoice.currency or currencies.get(invoice.customer_id)
        period, balance = invoice.period, balances.get(balance_key, 0)
        if period and period.start in anchors[history.subscription_id] and _is_new_money(invoice, balance):
            last = found[-1].period.start if found else None
            granted = (each.period for each in earlier if each.period and each.total > 0)
            # A weekly price has a month's credits once a month, however often it is bought.
            if last is None or period.end - period.start >= SHORT or not _goes_on(last, period.start, granted):
                found.append(_Opening(history, period))
        if history.payments.paid_share_of(invoice) > 0:
            earlier.append(invoice)
        # An invoice below zero is put on the customer's balance, from which their next ones are paid.
        rest = max(0, balance - invoice.total) if invoice.total > 0 else balance + _credited(invoice)
        balances[balance_key] = rest
    return found


def _credited(invoice: InvoicePaid) -> int:
    """Return what an invoice below zero credits for time that was paid for; what was given away is as good as new."""
    for_time = sum(-line.amount for line in invoice.lines if line.amount < 0)
    return min(-invoice.total, for_time) if invoice.lines else -invoice.total


def _is_new_money(invoice: InvoicePaid, balance: int) -> bool:
    """Return whether at least half of it is paid by something else than credits for what was paid before."""
    return invoice.total > 0 and 2 * (invoice.total - balance) >= invoice.total + invoice.credited_of_others


def _goes_on(last: datetime, anchor: datetime, spans: Iterable[Period]) -> bool:
    """Return whether the month that holds `anchor`, counted from `last`, was paid for in part before that."""
    month = billing_period(last, anchor)
    return any(span.start < anchor and month.start < span.end for span in spans)
