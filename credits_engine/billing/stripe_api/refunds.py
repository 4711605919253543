"""Facts out of what gives money back: refunds, disputes and credit notes, of every API generation."""

from collections.abc import Iterator, Mapping

from credits_engine.billing.facts import CreditNote, Dispute, DisputeStatus, Refund, RefundFailed
from credits_engine.billing.stripe_api.json_fields import (
    Json,
    created,
    guest,
    identifier,
    instant,
    integer,
    required_id,
    required_object,
    value_at,
)

FAILED = ("failed", "canceled")
DISPUTED = {
    "needs_response": DisputeStatus.OPEN,
    "under_review": DisputeStatus.OPEN,
    "appeal_needs_response": DisputeStatus.OPEN,
    "appeal_under_review": DisputeStatus.OPEN,
    "won": DisputeStatus.WON,
    "prevented": DisputeStatus.WON,
    "lost": DisputeStatus.LOST,
}
"""Inquiries (`warning_…`) take no money and are left out."""


def refund_failed(event: Json) -> Iterator[RefundFailed]:
    """Yield a refund that did not arrive; nothing for one that goes its way, which its charge tells."""
    stated = required_object(event)
    if stated.get("status") in FAILED:
        refund_id = required_id(stated, "id")
        yield RefundFailed(
            identity=f"{required_id(event, 'id')}:failed",
            refund_id=refund_id,
            customer_id=None,
            at=created(event),
            amount=integer(stated.get("amount")),
            charge_id=identifier(stated.get("charge")),
            payment_intent=identifier(stated.get("payment_intent")),
        )


def dispute(event: Json) -> Iterator[Dispute]:
    """Yield the state of a dispute."""
    stated = required_object(event)
    status = _dispute_status(stated)
    if status is not None:
        opened_at = instant(stated.get("created")) if status is DisputeStatus.OPEN else None
        yield Dispute(
            identity=f"{required_id(event, 'id')}:dispute",
            dispute_id=required_id(stated, "id"),
            customer_id=None,
            at=opened_at or created(event),
            status=status,
            amount=integer(stated.get("amount")),
            charge_id=identifier(stated.get("charge")),
            payment_intent=identifier(stated.get("payment_intent")) or identifier(stated.get("charge")),
        )


def _dispute_status(stated: Json) -> DisputeStatus | None:
    if stated.get("status") == "prevented" and _is_resolved_by_money(stated):
        return DisputeStatus.LOST
    return DISPUTED.get(str(stated.get("status")))


def _is_resolved_by_money(stated: Json) -> bool:
    """Return whether a dispute was prevented by giving the money back, which no refund of the charge tells."""
    moved = stated.get("balance_transactions")
    amounts = [each.get("amount") for each in moved if isinstance(each, Mapping)] if isinstance(moved, list) else []
    case = value_at(stated, "payment_method_details", "card").get("case_type")
    return sum(integer(amount) for amount in amounts) < 0 or case == "resolution"


def refund(event: Json) -> Iterator[Refund]:
    """Yield the total refunded of a charge."""
    charge = required_object(event)
    intent = identifier(charge.get("payment_intent"))
    customer_id = identifier(charge.get("customer")) or (intent and guest(intent))
    if not customer_id:
        return
    charge_id, refunded = required_id(charge, "id"), integer(charge.get("amount_refunded"))
    yield Refund(
        # With its second: a refund that failed and is made once more ends with a total that was stated before.
        identity=f"{charge_id}:{refunded}:{int(created(event).timestamp())}",
        charge_id=charge_id,
        customer_id=customer_id,
        at=created(event),
        amount=integer(charge.get("amount")),
        amount_refunded=refunded,
        invoice_id=identifier(charge.get("invoice")),
        # Without an intent the payment of its invoice names the charge itself.
        payment_intent=intent or charge_id,
    )


def credit_note(event: Json) -> Iterator[CreditNote]:
    """Return by how much a credit note lowers a paid invoice, beside what refunds of the charge tell themselves."""
    note = required_object(event)
    customer_id, amount, before = identifier(note.get("customer")), _credited(note), _credited_before_payment(note)
    if customer_id and (amount or before):
        note_id, is_void = required_id(note, "id"), note.get("status") == "void"
        yield CreditNote(
            identity=f"{required_id(event, 'id')}:note",
            credit_note_id=note_id,
            invoice_id=required_id(note, "invoice"),
            customer_id=customer_id,
            at=created(event),
            amount=amount,
            is_void=is_void,
            amount_before_payment=before,
        )


def _credited_before_payment(note: Json) -> int:
    amount = note.get("pre_payment_amount")
    if amount is None and note.get("type") == "pre_payment":
        amount = note.get("amount")
    return amount if type(amount) is int and amount > 0 else 0


def _credited(note: Json) -> int:
    """Return the amount given back other than by a refund; 0 if unknown, or if the invoice was still open."""
    after_payment = note.get("post_payment_amount")
    if after_payment is None and note.get("type") == "post_payment":
        after_payment = note.get("amount")
    if after_payment is None:
        return 0
    refunds = note.get("refunds")
    if isinstance(refunds, list):
        refunded = sum(integer(each.get("amount_refunded")) for each in refunds if isinstance(each, Mapping))
    elif note.get("refund"):
        return 0
    else:
        refunded = 0
    return max(0, integer(after_payment) - refunded)
