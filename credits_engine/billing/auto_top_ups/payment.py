"""The next thing to do at Stripe for one order: what is asked, and as what the order comes back."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from credits_engine.billing.auto_top_ups.rules import GIVE_UP_AFTER, Order, OrderState, spent
from credits_engine.billing.entitlements.price_list import find_offer
from credits_engine.billing.stripe_api import one_off_invoices
from credits_engine.billing.stripe_api.client import StripeGateway
from credits_engine.billing.stripe_api.json_fields import Json
from credits_engine.billing.stripe_api.one_off_invoices import NotPaidError

LOOK_BACK = timedelta(hours=1)
"""Stripe's clock may differ from ours."""
PAID_WITHIN = timedelta(days=21)
"""A direct debit takes two weeks at most; one that failed since leaves its invoice open."""
ASKED_AFTER = timedelta(hours=1)
"""The event of a paid invoice is waited for so long before Stripe is asked how the invoice stands."""


def advance(
    gateway: StripeGateway, order: Order, others: Sequence[Order], now: datetime, *, blocked: str | None = None
) -> Order:
    """Take the next steps; return the order as it stands then. Raises StripeUnavailableError and BreakerOpenError.

    For whom is `blocked` nothing is paid that is not paid already. An order that took more than GIVE_UP_AFTER is looked
    up and not sent: Stripe may have forgotten its keys.
    """
    try:
        match order.state:
            case OrderState.VOIDING:
                return _voided(gateway, order)
            case OrderState.CHARGED:
                return _looked_up(gateway, order, now)
            case _:
                return _ordered(gateway, order, others, now, blocked)
    except NotPaidError as error:
        return _refused(order, str(error))


def _refused(order: Order, error: str) -> Order:
    """Return the order after Stripe would not do what was asked."""
    match order.state:
        case OrderState.VOIDING:
            left = f"{order.reason} Its invoice {order.invoice_id} could not be voided: {error}"
            return replace(order, state=order.ends_as or OrderState.DECLINED, ends_as=None, reason=left)
        case OrderState.CHARGED:
            return replace(order, reason=error)
        case _:
            return replace(order, state=OrderState.DECLINED, reason=error)


def unanswered(order: Order, now: datetime) -> Order:
    """Return the order after Stripe gave no answer: as it was, or given up.

    Stripe's words are not kept: the account reads the reason, and they are about our key.
    """
    if order.state is not OrderState.ORDERED:
        return order
    if now - order.ordered_at < GIVE_UP_AFTER:
        return replace(order, reason="Stripe gives no answer.")
    sentence = f"Stripe did not answer for {GIVE_UP_AFTER}; look there for an invoice with {order.key}."
    return replace(order, state=OrderState.FAILED, reason=sentence)


def _ordered(
    gateway: StripeGateway, order: Order, others: Sequence[Order], now: datetime, blocked: str | None
) -> Order:
    invoice = None
    if order.attempts:
        # Somebody began: what they made is there, whatever they could still tell us of it.
        since = order.ordered_at - LOOK_BACK
        invoice = one_off_invoices.find_invoice(gateway, order.customer_id, order.key, since)
        order = _of(order, invoice) if invoice else order
    if invoice and invoice.get("status") not in ("draft", "open"):
        return _by_status(order, invoice)
    if blocked is not None:
        return _declined(order, blocked)
    if now - order.ordered_at >= GIVE_UP_AFTER:
        return _declined(order, "Nothing was charged: Stripe could not be reached.")
    price = one_off_invoices.find_price(gateway, order.price)
    if price is None or find_offer(str(price.get("id"))) is None:
        return _declined(order, f"Stripe sells no pack at {order.price} that the catalogue has by the price's id.")
    if invoice is None:
        invoice = one_off_invoices.create_invoice(gateway, order.customer_id, price, order.key)
    order = _of(order, invoice)
    try:
        return _paid(gateway, order, invoice, price, others)
    except NotPaidError as error:
        return _declined(order, str(error))


def _declined(order: Order, reason: str) -> Order:
    """Return the order as one that is not paid for: what was made of its invoice is taken back before anything else.

    Nobody is to pay it by surprise once the card is good again.
    """
    if order.invoice_id is None:
        return replace(order, state=OrderState.DECLINED, reason=reason)
    return replace(order, state=OrderState.VOIDING, ends_as=OrderState.DECLINED, reason=reason)


def _paid(gateway: StripeGateway, order: Order, invoice: Json, price: Json, others: Sequence[Order]) -> Order:
    if invoice.get("status") == "draft":
        invoice = one_off_invoices.complete_invoice(gateway, invoice, price, order.key)
        order = _of(order, invoice)
    if invoice.get("status") == "open":
        before = spent([each for each in others if each.currency == order.currency and each.id != order.id])
        if order.amount_max is not None and before + (order.amount or 0) > order.amount_max:
            return replace(
                order, state=OrderState.VOIDING, ends_as=OrderState.ABOVE_MAX, reason=_above_max(order, before)
            )
        invoice = _after_payment(gateway, order)
    return _of(_by_status(order, invoice), invoice)


def _above_max(order: Order, spent_before: int) -> str:
    currency = order.currency.upper() if order.currency else "its currency"
    already = f"{spent_before} of {order.amount_max} are spent in this period"
    return f"It would cost {order.amount}, and {already}, in the smallest unit of {currency}."


def _after_payment(gateway: StripeGateway, order: Order) -> Json:
    """Let it be paid. Where Stripe refuses, ask how it stands: it may be paid already. Raises NotPaidError."""
    invoice_id = str(order.invoice_id)
    try:
        return one_off_invoices.pay_invoice(gateway, invoice_id, order.key)
    except NotPaidError:
        found = one_off_invoices.retrieve_invoice(gateway, invoice_id)
        if found.get("status") != "paid":
            raise
        return found


def _voided(gateway: StripeGateway, order: Order) -> Order:
    invoice = _after_void(gateway, order.invoice_id) if order.invoice_id else {"status": "void"}
    if invoice.get("status") == "paid":
        # Somebody paid it by hand in between: that buys the pack like any other payment.
        return replace(order, state=OrderState.CHARGED, ends_as=None)
    return replace(order, state=order.ends_as or OrderState.DECLINED, ends_as=None)


def _after_void(gateway: StripeGateway, invoice_id: str) -> Json:
    """Void it. Where Stripe refuses, ask how it stands: it may be paid by now, or gone. Raises NotPaidError."""
    try:
        return one_off_invoices.void_invoice(gateway, invoice_id)
    except NotPaidError:
        found = one_off_invoices.retrieve_invoice(gateway, invoice_id)
        if found.get("status") in ("draft", "open"):
            raise
        return found


def _looked_up(gateway: StripeGateway, order: Order, now: datetime) -> Order:
    if now - order.ordered_at < ASKED_AFTER:
        return order
    invoice = one_off_invoices.retrieve_invoice(gateway, str(order.invoice_id))
    if invoice.get("status") == "open" and now - order.ordered_at >= PAID_WITHIN:
        return _declined(order, f"Stripe got no money within {PAID_WITHIN.days} days.")
    return _by_status(order, invoice)


def _by_status(order: Order, invoice: Json) -> Order:
    """Return the order by the invoice's status: one that is being paid, as by direct debit, is waited for."""
    if invoice.get("status") in ("void", "uncollectible") or invoice.get("deleted"):
        return replace(order, state=OrderState.DECLINED, reason="The invoice was voided at Stripe.")
    return replace(order, state=OrderState.CHARGED, reason=None)


def _of(order: Order, invoice: Json) -> Order:
    total, currency = invoice.get("total"), invoice.get("currency")
    return replace(
        order,
        invoice_id=str(invoice.get("id")),
        amount=total if type(total) is int else order.amount,
        currency=currency if isinstance(currency, str) else order.currency,
    )
