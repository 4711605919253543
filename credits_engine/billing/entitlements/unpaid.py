"""Until when a plan is granted that is not paid yet: by the days of grace, while a payment is still to be expected."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from credits_engine.billing.entitlements.coverage import plan_of_line
from credits_engine.billing.entitlements.history import History, is_paused, state_at
from credits_engine.billing.facts import (
    FAILING,
    GOOD,
    InvoiceFailed,
    InvoicePaid,
    InvoiceVoided,
    PauseBehavior,
    Status,
)
from credits_engine.engines.credit_plan import CreditPlan
from credits_engine.engines.periods import Period
from credits_engine.engines.plans import Catalogue


@dataclass(frozen=True, slots=True)
class Refusal:
    """From when on the newest plan is not granted unless it is paid for, and why."""

    at: datetime
    sentence: str


def refusal(history: History, plan: CreditPlan, period: Period, catalogue: Catalogue) -> Refusal | None:
    """Return the first thing that ends the trust in a payment to come for `plan` in this service period."""
    found = [
        *_failing(history, plan),
        *_given_up(history, plan, period, catalogue),
        *_lost(history, plan, period, catalogue),
        *_voiding(history, period),
    ]
    return min(found, key=lambda each: each.at, default=None)


def _failing(history: History, plan: CreditPlan) -> Iterator[Refusal]:
    if since := failing_since(history):
        yield _overdue(since, plan)


def _overdue(since: datetime, plan: CreditPlan) -> Refusal:
    grace = plan.grace_at(since)
    return Refusal(
        since + grace,
        f"Payment has been failing since {since:%Y-%m-%dT%H:%M:%SZ}, "
        f"longer than the {grace.days} days of grace; pay the open invoice to go on.",
    )


def _given_up(history: History, plan: CreditPlan, period: Period, catalogue: Catalogue) -> Iterator[Refusal]:
    """Return invoices for just this plan and time that nobody will pay, or that failed and no later state made good."""
    for voided in history.voided:
        if _charges_for(voided, history, plan, period, catalogue):
            yield _nothing_pays(voided.at, voided.invoice_id, "voided")
    for failed in history.failed:
        if not _charges_for(failed, history, plan, period, catalogue):
            continue
        if failed.is_final:
            yield _nothing_pays(failed.at, failed.invoice_id, "given up")
        elif not _has_recovered(history, failed):
            yield _overdue(failed.at, plan)


def _nothing_pays(at: datetime, invoice_id: str, fate: str) -> Refusal:
    return Refusal(
        at, f"Invoice {invoice_id} was {fate}, so nothing pays for this period; the next paid one ends this."
    )


def _lost(history: History, plan: CreditPlan, period: Period, catalogue: Catalogue) -> Iterator[Refusal]:
    """Return payments that the customer's bank took back."""
    for invoice in history.paid:
        at = history.payments.lost.get(invoice.invoice_id)
        if at and _charges_for(invoice, history, plan, period, catalogue):
            sentence = (
                f"The payment of invoice {invoice.invoice_id} was lost in a dispute; the next paid one ends this."
            )
            yield Refusal(at, sentence)


def _voiding(history: History, period: Period) -> Iterator[Refusal]:
    """Return periods that begin, by Stripe or by the clock, while collection is paused as there is no service."""
    paid = {each.period.start for each in history.paid if each.period}
    for start in {period.start, period.end} - paid:
        if is_paused(state_at(history.snapshots, start), PauseBehavior.VOID, start):
            yield Refusal(start, "Collection is paused and invoices are voided; paying the next period ends this.")


def _has_recovered(history: History, failed: InvoiceFailed) -> bool:
    """Return whether Stripe took the subscription back into good standing after this failure, and as it was made good.

    Stripe does so too for another invoice that is paid meanwhile, such as one of a further seat.
    """
    since = [each for each in history.snapshots if each.at >= failed.at]
    failing = [each.at for each in since if each.status in FAILING]
    good = [each.at for each in since if each.status in GOOD and failing and each.at >= max(failing)]
    if history.newest.status not in GOOD or not good:
        return False
    return not any(failed.at <= each.at <= min(good) for each in history.paid)


def _charges_for(
    invoice: InvoicePaid | InvoiceFailed | InvoiceVoided,
    history: History,
    plan: CreditPlan,
    period: Period,
    catalogue: Catalogue,
) -> bool:
    """Return whether the invoice is for this plan in this period; one that names no plan is for its period's.

    The invoice of the period itself is for whichever plan there is in it, unless another one pays for the period: or
    whoever did not pay would have another plan for nothing by changing to it.
    """
    is_of_period = invoice.period is not None and invoice.period.start == period.start
    charged = [line for line in invoice.lines if line.amount > 0]
    named = [(line, found) for line in charged if (found := plan_of_line(line, history.payments.keys, catalogue))]
    if not named or (is_of_period and not _is_paid(period, history)):
        return is_of_period
    return any(found.name == plan.name and period.start <= line.period.start < period.end for line, found in named)


def _is_paid(period: Period, history: History) -> bool:
    """Return whether an invoice of the period was paid, and not lost in a dispute since."""
    of_period = (each for each in history.paid if each.period and each.period.start == period.start)
    return any(each.invoice_id not in history.payments.lost for each in of_period)


def failing_since(history: History) -> datetime | None:
    """Return the first failure since the subscription was last in good standing; None while it is."""
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
