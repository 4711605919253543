"""The facts in Stripe's events, reduced to what credits depend on.

A fact is a true statement about an object at an instant and never changes. Everything that billing decides is a
function of the set of facts and the clock, so the order and the number of deliveries can't matter.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from credits_engine.billing.money_facts import CreditNote, Dispute, DisputeStatus, Payment, Refund, RefundFailed
from credits_engine.engines.periods import Period

__all__ = ["CreditNote", "Dispute", "DisputeStatus", "Payment", "Refund", "RefundFailed"]


class Status(StrEnum):
    """The states of a subscription, in Stripe's words."""

    INCOMPLETE = "incomplete"
    INCOMPLETE_EXPIRED = "incomplete_expired"
    TRIALING = "trialing"
    ACTIVE = "active"
    PAST_DUE = "past_due"
    UNPAID = "unpaid"
    PAUSED = "paused"
    CANCELED = "canceled"


GOOD = frozenset({Status.ACTIVE, Status.TRIALING})
FAILING = frozenset({Status.PAST_DUE, Status.UNPAID})
GRANTING = GOOD | FAILING | {Status.PAUSED}
TERMINAL = frozenset({Status.CANCELED, Status.INCOMPLETE_EXPIRED})


class Source(StrEnum):
    """The origin of a snapshot; within one second the later of these wins."""

    BEFORE = "before"
    CREATED = "created"
    FETCHED = "fetched"
    UPDATED = "updated"
    PAUSED = "paused"
    RESUMED = "resumed"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Item:
    """One price of a subscription and the service period it is in."""

    price_id: str
    lookup_key: str | None
    period: Period | None
    former_keys: tuple[str, ...] = ()
    """Other lookup keys that the price is known by; no event says so itself."""
    quantity: int = 1
    """How many are bought; 0 buys nothing."""


class PauseBehavior(StrEnum):
    """What Stripe does with the invoices of a subscription whose collection is paused, and what that means."""

    KEEP_AS_DRAFT = "keep_as_draft"
    """Paid later: the service goes on."""
    MARK_UNCOLLECTIBLE = "mark_uncollectible"
    """Never paid: the service goes on for nothing."""
    VOID = "void"
    """No service, so there is nothing to pay."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Collecting is paused, at most until `resumes_at`."""

    behavior: PauseBehavior
    resumes_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A subscription as it was at one instant."""

    identity: str
    subscription_id: str
    customer_id: str
    at: datetime
    source: Source
    status: Status
    items: tuple[Item, ...]
    anchor: datetime | None
    cancel_at: datetime | None = None
    ends_with_period: bool = False
    ended_at: datetime | None = None
    user_id: str | None = None
    """The user that the subscription's metadata names."""
    is_partial: bool = False
    """Whether the object had more items than it showed."""
    replaces: str | None = None
    """The `content` that an update says it changed: tells the order of two updates within one second."""
    pause: Pause | None = None
    is_invoiced: bool = False
    """Whether the customer is sent invoices to pay later: such a state says nothing of its payment."""

    @property
    def period_start(self) -> datetime | None:
        """The latest service period that any item has reached."""
        return max((item.period.start for item in self.items if item.period), default=None)

    @property
    def content(self) -> str:
        """Everything that billing depends on, as one comparable text."""
        items = sorted(_content(item, item.period) for item in self.items if item.period)
        content = f"{self.status} {items} {self.anchor} {self.cancel_at} {self.ends_with_period}"
        # Only where there is one: texts of before pauses were read are stored in `replaces`, and must stay comparable.
        return f"{content} {self.pause.behavior} {self.pause.resumes_at}" if self.pause else content


def _content(item: Item, period: Period) -> str:
    # As with pauses: where it is one, the text is that of before quantities were read.
    content = f"{item.price_id} {period.start} {period.end}"
    return content if item.quantity == 1 else f"{content} x{item.quantity}"


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """The amount an invoice asks for one price of the subscription within a period; negative for a credit."""

    price_id: str
    lookup_key: str | None
    amount: int
    period: Period
    quantity: int = 1


@dataclass(frozen=True, slots=True)
class InvoicePaid:
    """An invoice of a subscription is settled. `period` is what it pays for; None where it pays for no whole one."""

    identity: str
    invoice_id: str
    subscription_id: str
    customer_id: str
    at: datetime
    period: Period | None
    total: int
    payment_intent: str | None = None
    user_id: str | None = None
    lines: tuple[InvoiceLine, ...] = ()
    is_partial: bool = False
    """Whether the invoice has more lines than the event showed, and it may be paid for by one of those."""
    amount_paid: int | None = None
    """The money that came; the rest was paid by a balance, or never asked for."""
    credited_of_others: int = 0
    """What its lines credit for the rest of other subscriptions."""
    currency: str | None = None
    """The currency of its amounts; None in facts of before it was read."""


@dataclass(frozen=True, slots=True)
class InvoiceFailed:
    """An attempt to collect an invoice failed, or it was given up."""

    identity: str
    invoice_id: str
    subscription_id: str
    customer_id: str
    at: datetime
    period: Period | None
    user_id: str | None = None
    lines: tuple[InvoiceLine, ...] = ()
    is_final: bool = False
    """Whether nobody tries any more."""


@dataclass(frozen=True, slots=True)
class InvoiceVoided:
    """An invoice need not be paid any more."""

    identity: str
    invoice_id: str
    subscription_id: str
    customer_id: str
    at: datetime
    user_id: str | None = None
    period: Period | None = None
    lines: tuple[InvoiceLine, ...] = ()


@dataclass(frozen=True, slots=True)
class InvoiceItem:
    """A proration that waits for the next invoice, or was taken off it again.

    A customer who left gets no next invoice, so nothing else tells what was credited to them.
    """

    identity: str
    item_id: str
    subscription_id: str
    customer_id: str
    at: datetime
    line: InvoiceLine
    is_deleted: bool = False


@dataclass(frozen=True, slots=True)
class PackPaid:
    """A one-off sale of a pack is paid; `at` is when it began. Without a payment nothing had to be paid.

    A `quantity` of 0 was not told; such a statement is never stored.
    """

    identity: str
    customer_id: str
    at: datetime
    price: str
    quantity: int
    payment_intent: str | None = None
    user_id: str | None = None
    invoice_id: str | None = None
    is_line: bool = False
    """Whether a line of that invoice says so, and no checkout."""
    total: int | None = None
    """What all of its checkout or invoice cost."""


@dataclass(frozen=True, slots=True)
class Link:
    """Which of our users a Stripe customer is."""

    identity: str
    customer_id: str
    user_id: str
    at: datetime


Fact = (
    Snapshot
    | InvoicePaid
    | InvoiceFailed
    | InvoiceVoided
    | InvoiceItem
    | Payment
    | Refund
    | RefundFailed
    | Dispute
    | CreditNote
    | PackPaid
    | Link
)
