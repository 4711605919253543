"""The facts about a payment: which invoice it settled, and what of it was given back or is asked back."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Payment:
    """Which payment settled which invoice; since 2025-03-31.basil only this says so."""

    identity: str
    invoice_id: str
    payment_intent: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Refund:
    """The amount of a charge refunded so far."""

    identity: str
    charge_id: str
    customer_id: str
    at: datetime
    amount: int
    amount_refunded: int
    invoice_id: str | None = None
    payment_intent: str | None = None


@dataclass(frozen=True, slots=True)
class RefundFailed:
    """A refund did not reach the customer, or was cancelled, and the money stays with us."""

    identity: str
    refund_id: str
    customer_id: str | None
    at: datetime
    amount: int
    charge_id: str | None = None
    payment_intent: str | None = None


class DisputeStatus(StrEnum):
    """How a dispute stands. An inquiry takes no money, so it is none."""

    OPEN = "open"
    WON = "won"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Dispute:
    """A customer asked their bank for a payment's money back, and how that stands."""

    identity: str
    dispute_id: str
    customer_id: str | None
    at: datetime
    status: DisputeStatus
    amount: int
    charge_id: str | None = None
    payment_intent: str | None = None


@dataclass(frozen=True, slots=True)
class CreditNote:
    """An invoice that was paid is lowered by an amount that no refund of its charge gives back; or no longer is."""

    identity: str
    credit_note_id: str
    invoice_id: str
    customer_id: str
    at: datetime
    amount: int
    is_void: bool = False
    amount_before_payment: int = 0
    """The part by which the invoice was lowered while it was open: so much was never paid."""
