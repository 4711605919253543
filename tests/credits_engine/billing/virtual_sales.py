"""One-off sales of a virtual Stripe: packs that are paid at once or later, and given back in part or whole."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tests.credits_engine.billing.stripe_objects import OLD_GENERATIONS, Json, seconds
from tests.credits_engine.billing.virtual_collection import dispute
from tests.credits_engine.billing.virtual_stripe import VirtualStripe

CENTS = 1_000


def sell(
    stripe: VirtualStripe,
    user: str | None,
    price: str,
    *,
    customer: str | None = None,
    is_paid: bool = True,
    quantity: int | None = None,
) -> Json:
    """Finish a checkout of a pack. Without a customer it is a guest's; with a quantity it shows its line items."""
    line = {"id": stripe._id("li"), "object": "item", "quantity": quantity, "price": {"lookup_key": price, "id": "p"}}
    session: Json = {
        "id": stripe._id("cs"),
        "object": "checkout.session",
        "mode": "payment",
        "created": seconds(stripe.now),
        "payment_status": "paid" if is_paid else "unpaid",
        "customer": customer,
        "payment_intent": stripe._id("pi"),
        "client_reference_id": user,
        "amount_subtotal": CENTS * (quantity or 1),
        "amount_total": CENTS * (quantity or 1),
        "metadata": {} if quantity else {"credit_pack": price, "credit_pack_unit_amount": str(CENTS)},
        **({"line_items": {"object": "list", "data": [line]}} if quantity else {}),
    }
    stripe._send("checkout.session.completed", session)
    return session


def receive_payment(stripe: VirtualStripe, session: Mapping[str, object]) -> None:
    """Let the bank transfer of a checkout come in."""
    stripe._send("checkout.session.async_payment_succeeded", {**session, "payment_status": "paid"})


def give_back(stripe: VirtualStripe, session: Mapping[str, object], cents_in_all: int = CENTS) -> None:
    """Give back so much of the payment, in all."""
    charge = {
        "id": f"ch_{session['payment_intent']}",
        "object": "charge",
        "customer": session["customer"],
        "amount": CENTS,
        "amount_refunded": cents_in_all,
        "refunded": cents_in_all == CENTS,
        "payment_intent": session["payment_intent"],
    }
    stripe._send("charge.refunded", charge)


def dispute_sale(stripe: VirtualStripe, session: Mapping[str, object], status: str, opened_at: datetime) -> None:
    """Dispute the payment of a checkout, with the dispute in this state."""
    intent = session["payment_intent"]
    payment = {"id": session["id"], "total": session["amount_total"]}
    dispute(stripe, payment, status, opened_at, charge=f"ch_{intent}", payment_intent=intent)


def one_off_line(stripe: VirtualStripe, number: int, price: str = "setup", **changes: Any) -> Json:
    """Return a line that is paid once, as of `add_invoice_items` or of a checkout that sells more than a plan."""
    instant = seconds(stripe.now)
    line: Json = {
        "id": f"il_once_{number}",
        "object": "line_item",
        "amount": 500,
        "quantity": 1,
        "period": {"start": instant, "end": instant},
    }
    if stripe._objects.generation in OLD_GENERATIONS:
        price_object = {"id": f"price_{price}", "object": "price", "lookup_key": price}
        return {**line, "type": "invoiceitem", "proration": False, "price": price_object, **changes}
    details = {"invoice_item": f"ii_{number}", "proration": False}
    parent = {"type": "invoice_item_details", "invoice_item_details": details}
    pricing = {"type": "price_details", "price_details": {"price": price}}
    return {**line, "parent": parent, "pricing": pricing, **changes}


def invoices_of(stripe: VirtualStripe) -> list[Json]:
    """Return the invoice of each event that tells of a payment; both events of one payment hold the same."""
    return [each["data"]["object"] for each in stripe.events if each["type"].startswith("invoice.pa")]
