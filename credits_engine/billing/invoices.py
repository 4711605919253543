"""Facts out of invoices, payments and refunds of every API generation."""

from collections.abc import Iterator
from typing import Any

from credits_engine.billing.checkouts import guest
from credits_engine.billing.facts import InvoiceFailed, InvoicePaid, InvoiceVoided, Payment, Refund
from credits_engine.billing.shapes import (
    Json,
    UnreadableEventError,
    created,
    elements,
    identifier,
    instant,
    named_user,
    nested,
    required_id,
    required_object,
    span,
    whole,
)
from credits_engine.engines.periods import Period


def paid(event: Json) -> Iterator[InvoicePaid]:
    """The payment of a subscription's invoice. Two types of event announce it, and both state the same fact."""
    invoice = required_object(event)
    for common in _of_subscription(invoice):
        yield InvoicePaid(
            identity=f"{common['invoice_id']}:paid",
            at=instant(nested(invoice, "status_transitions").get("paid_at")) or created(event),
            period=_served_period(invoice),
            total=whole(invoice.get("total")),
            payment_intent=identifier(invoice.get("payment_intent")),
            **common,
        )


def failed(event: Json) -> Iterator[InvoiceFailed]:
    """A failed attempt to collect a subscription's invoice, or the end of all attempts."""
    invoice = required_object(event)
    for common in _of_subscription(invoice):
        identity = f"{required_id(event, 'id')}:failed"
        yield InvoiceFailed(identity=identity, at=created(event), period=_served_period(invoice), **common)


def voided(event: Json) -> Iterator[InvoiceVoided]:
    """A subscription's invoice that nobody has to pay any more."""
    for common in _of_subscription(required_object(event)):
        yield InvoiceVoided(identity=f"{common['invoice_id']}:voided", at=created(event), **common)


def payment(event: Json) -> Iterator[Payment]:
    """Which payment settled which invoice."""
    stated = required_object(event)
    intent = identifier(nested(stated, "payment").get("payment_intent"))
    if intent is not None:
        identity, invoice_id = f"payment:{intent}", required_id(stated, "invoice")
        yield Payment(identity=identity, invoice_id=invoice_id, payment_intent=intent, at=created(event))


def refund(event: Json) -> Iterator[Refund]:
    """How much of a charge has been given back in all."""
    charge = required_object(event)
    intent = identifier(charge.get("payment_intent"))
    customer_id = identifier(charge.get("customer")) or (intent and guest(intent))
    if not customer_id:
        return
    charge_id, refunded = required_id(charge, "id"), whole(charge.get("amount_refunded"))
    yield Refund(
        identity=f"{charge_id}:{refunded}",
        charge_id=charge_id,
        customer_id=customer_id,
        at=created(event),
        amount=whole(charge.get("amount")),
        amount_refunded=refunded,
        invoice_id=identifier(charge.get("invoice")),
        payment_intent=intent,
    )


def _of_subscription(invoice: Json) -> Iterator[dict[str, Any]]:
    """What every fact about an invoice holds; nothing for an invoice of no subscription."""
    subscription_id = _subscription_id(invoice)
    if subscription_id is None:
        return
    details = nested(invoice, "parent", "subscription_details") or nested(invoice, "subscription_details")
    yield {
        "invoice_id": required_id(invoice, "id"),
        "subscription_id": subscription_id,
        "customer_id": required_id(invoice, "customer"),
        "user_id": named_user(details),
    }


def _subscription_id(invoice: Json) -> str | None:
    """Before basil on the invoice, since then under its parent; some senders fill only the lines."""
    above = nested(invoice, "parent", "subscription_details").get("subscription")
    found = identifier(invoice.get("subscription")) or identifier(above)
    for line in elements(invoice.get("lines")):
        details = nested(line, "parent", "subscription_item_details")
        found = found or identifier(line.get("subscription")) or identifier(details.get("subscription"))
    return found


def _served_period(invoice: Json) -> Period | None:
    """The service period of the lines that are no proration: never `period_start` of the invoice, which looks back."""
    lines = list(elements(invoice.get("lines")))
    periods = [span(line.get("period"), "start", "end") for line in lines if not _is_proration(line)]
    if not lines or None in periods:
        raise UnreadableEventError("no_period", f"Invoice {invoice.get('id')} does not say which period it is for.")
    return max((period for period in periods if period), default=None)


def _is_proration(line: Json) -> bool:
    return line.get("proration") is True or nested(line, "parent", "subscription_item_details").get("proration") is True
