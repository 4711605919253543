"""What becomes of money at a virtual Stripe: collection pauses, invoices are given up, payments are taken back."""

from datetime import datetime
from typing import Any

from tests.credits_engine.billing.stripe_objects import Json, Subscription, seconds
from tests.credits_engine.billing.virtual_stripe import VirtualStripe


def pause(stripe: VirtualStripe, held: Subscription, behavior: str, resumes_at: datetime | None = None) -> None:
    """Pause collection as the merchant, in the way that `behavior` says."""
    stripe._change(held, pause={"behavior": behavior, "resumes_at": seconds(resumes_at)})


def unpause(stripe: VirtualStripe, held: Subscription) -> None:
    """Collecting goes on, from the next invoice."""
    stripe._change(held, pause=None)


def give_up(stripe: VirtualStripe, held: Subscription, kind: str = "voided") -> None:
    """Void the open invoice or mark it uncollectible; Stripe counts the subscription as active then."""
    invoice, held.open_invoice = held.open_invoice, None
    assert invoice is not None
    stripe._send(f"invoice.{kind}", {**invoice, "status": "void" if kind == "voided" else "uncollectible"})
    if held.status == "past_due":
        stripe._change(held, status="active")


def refund_fails(stripe: VirtualStripe, held: Subscription, cents: int) -> None:
    """Fail a refund of the last invoice; three events tell of it."""
    assert held.last_invoice is not None
    refund = {
        "id": stripe._id("re"),
        "object": "refund",
        "amount": cents,
        "charge": f"ch_{held.last_invoice['id']}",
        "payment_intent": f"pi_{held.last_invoice['id']}",
        "status": "failed",
    }
    for kind in ("refund.updated", "charge.refund.updated", "refund.failed"):
        stripe._send(kind, refund)


def dispute(stripe: VirtualStripe, invoice: Json, status: str, opened_at: datetime, **changes: Any) -> None:
    """Dispute the payment of an invoice, with the dispute in this state."""
    kind = "closed" if status in ("won", "lost", "warning_closed") else "created"
    stated = {
        "id": f"dp_{invoice['id']}",
        "object": "dispute",
        "amount": invoice["total"],
        "charge": f"ch_{invoice['id']}",
        "payment_intent": f"pi_{invoice['id']}",
        "created": seconds(opened_at),
        "status": status,
    }
    stripe._send(f"charge.dispute.{kind}", stated | changes)


def credit_note(stripe: VirtualStripe, invoice: Json, cents: int) -> None:
    """Credit an invoice that was paid to the customer's balance."""
    stripe._send(
        "credit_note.created",
        {
            "id": stripe._id("cn"),
            "object": "credit_note",
            "customer": invoice["customer"],
            "invoice": invoice["id"],
            "status": "issued",
            "type": "post_payment",
            "amount": cents,
            "refunds": [],
        },
    )


def proration_waits(stripe: VirtualStripe, held: Subscription, cents: int, price: str | None = None) -> Json:
    """Return a proration from now to the period's end is put on the next invoice."""
    price = price or held.price
    item: Json = {
        "id": stripe._id("ii"),
        "object": "invoiceitem",
        "customer": held.customer,
        "amount": cents,
        "proration": True,
        "period": {"start": seconds(stripe.now), "end": seconds(held.end)},
    }
    if stripe._objects._is_old:
        item |= {"subscription": held.id, "price": {"id": f"price_{price}", "object": "price", "lookup_key": price}}
    else:
        details = {"subscription": held.id}
        item |= {
            "parent": {"type": "subscription_details", "subscription_details": details},
            "pricing": {"type": "price_details", "price_details": {"price": f"price_{price}"}},
        }
    stripe._send("invoiceitem.created", item)
    return item
