"""The tables of billing: the inbox, the facts taken from it, and the periods that payments opened."""

from datetime import datetime
from typing import cast

from sqlalchemy import (
    BigInteger,
    Boolean,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    literal_column,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.platform.db.database import Base, UtcDateTime
from control_plane.platform.models import RowId
from credits_engine.store.tables import BILLING


class BillingEvent(Base):
    """One event of Stripe, stored before it was acknowledged. Its id is kept for ever, its body for 90 days.

    `next_at` is when a new event may be tried, and when the lease on a claimed one runs out. `attempts` fences: only
    the claim that counted it may finish the event.
    """

    __tablename__ = "billing_event"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    event_id: Mapped[str] = mapped_column(Text, unique=True)
    type: Mapped[str] = mapped_column(Text)
    api_version: Mapped[str] = mapped_column(Text)
    livemode: Mapped[bool] = mapped_column(Boolean)
    customer_id: Mapped[str | None] = mapped_column(Text)
    object_id: Mapped[str | None] = mapped_column(Text)
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)
    deliveries: Mapped[int] = mapped_column(Integer)
    delivered_at: Mapped[datetime] = mapped_column(UtcDateTime)
    state: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    waiting_for: Mapped[str | None] = mapped_column(Text)
    attempts: Mapped[int] = mapped_column(Integer)
    next_at: Mapped[datetime] = mapped_column(UtcDateTime)
    claimed_by: Mapped[str | None] = mapped_column(Text)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


OPEN = BillingEvent.state.in_(("new", "claimed"))
STUCK = BillingEvent.state.in_(("parked", "dead"))
Index("ix_billing_event_due", BillingEvent.next_at, BillingEvent.id, sqlite_where=OPEN, postgresql_where=OPEN)
Index("ix_billing_event_stuck", BillingEvent.waiting_for, BillingEvent.id, sqlite_where=STUCK, postgresql_where=STUCK)
Index("ix_billing_event_customer", BillingEvent.customer_id, BillingEvent.id)
Index("ix_billing_event_received", BillingEvent.received_at)


class BillingAttempt(Base):
    """An attempt to apply an event that failed, or an order to try it again."""

    __tablename__ = "billing_attempt"
    __table_args__ = (Index("ix_billing_attempt_event", "event_id", "id"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    event_id: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    number: Mapped[int] = mapped_column(Integer)
    actor: Mapped[str] = mapped_column(Text)
    outcome: Mapped[str] = mapped_column(Text)


class BillingFact(Base):
    """A fact from Stripe. Rows are only ever added; the rest of billing is a function of them."""

    __tablename__ = "billing_fact"
    __table_args__ = (Index("ix_billing_fact_customer", "customer_id"),)

    identity: Mapped[str] = mapped_column(Text, primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    customer_id: Mapped[str | None] = mapped_column(Text)
    event_id: Mapped[str] = mapped_column(Text)
    document: Mapped[str] = mapped_column(Text)
    payment_intent: Mapped[str | None] = mapped_column(Text)


HAS_PAYMENT = BillingFact.payment_intent.is_not(None)
Index(
    "ix_billing_fact_payment",
    BillingFact.payment_intent,
    sqlite_where=HAS_PAYMENT,
    postgresql_where=HAS_PAYMENT,
)


class BillingCustomer(Base):
    """A customer of Stripe and the user of ours that they are, once known. Its row is the customer's lock."""

    __tablename__ = "billing_customer"
    __table_args__ = (Index("ix_billing_customer_user", "user_id"),)

    customer_id: Mapped[str] = mapped_column(Text, primary_key=True)
    user_id: Mapped[str | None] = mapped_column(Text)
    linked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    linked_by: Mapped[str | None] = mapped_column(Text)
    merged_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When the customer came to this user with an account that was merged into theirs."""


class BillingMerge(Base):
    """A user who became part of another one; metadata at Stripe goes on naming the first."""

    __tablename__ = "billing_merge"

    user_id: Mapped[str] = mapped_column(Text, primary_key=True)
    into_user_id: Mapped[str] = mapped_column(Text)
    merged_at: Mapped[datetime] = mapped_column(UtcDateTime)
    merged_by: Mapped[str] = mapped_column(Text)


class BillingPrice(Base):
    """A price that was added to the catalogue: it buys a plan, or a pack of so many credits of a kind."""

    __tablename__ = "billing_price"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    price: Mapped[str] = mapped_column(Text, unique=True)
    plan: Mapped[str | None] = mapped_column(Text)
    kind: Mapped[str | None] = mapped_column(Text)
    amount: Mapped[int | None] = mapped_column(Integer)
    days: Mapped[int | None] = mapped_column(Integer)
    starts_at: Mapped[datetime] = mapped_column(UtcDateTime)
    added_at: Mapped[datetime] = mapped_column(UtcDateTime)
    added_by: Mapped[str] = mapped_column(Text)


class BillingAutoTopUp(Base):
    """The wish of an account: a pack is bought by itself below so many credits, so often a period at most.

    `amount_max` is in the smallest unit of the price's currency. What stopped is not tried until it is set again.
    """

    __tablename__ = "billing_auto_top_up"

    user_id: Mapped[str] = mapped_column(Text, primary_key=True)
    price: Mapped[str] = mapped_column(Text)
    below: Mapped[int] = mapped_column(BigInteger)
    per_period_max: Mapped[int] = mapped_column(Integer)
    amount_max: Mapped[int | None] = mapped_column(BigInteger)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_by: Mapped[str] = mapped_column(Text)
    stopped_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    stopped_reason: Mapped[str | None] = mapped_column(Text)


TOP_UP_OPEN = text("state IN ('ordered', 'voiding', 'charged')")


class BillingTopUpOrder(Base):
    """A pack ordered at Stripe for an account, once for each number in a period.

    `key` is Stripe's idempotency key and stands in the invoice. `attempts` fences: only the claim that counted it may
    write how the order goes on.
    """

    __tablename__ = "billing_top_up_order"
    __table_args__ = (
        PrimaryKeyConstraint("user_id", "id"),
        UniqueConstraint("user_id", "key"),
        UniqueConstraint("user_id", "period_start", "number"),
        Index("ix_billing_top_up_order_open", "next_at", sqlite_where=TOP_UP_OPEN, postgresql_where=TOP_UP_OPEN),
    )

    id: Mapped[int] = mapped_column(RowId, autoincrement=True)
    user_id: Mapped[str] = mapped_column(Text)
    period_start: Mapped[datetime] = mapped_column(UtcDateTime)
    number: Mapped[int] = mapped_column(Integer)
    key: Mapped[str] = mapped_column(Text)
    price: Mapped[str] = mapped_column(Text)
    customer_id: Mapped[str] = mapped_column(Text)
    amount_max: Mapped[int | None] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(Text)
    ends_as: Mapped[str | None] = mapped_column(Text)
    invoice_id: Mapped[str | None] = mapped_column(Text)
    amount: Mapped[int | None] = mapped_column(BigInteger)
    currency: Mapped[str | None] = mapped_column(Text)
    reason: Mapped[str | None] = mapped_column(Text)
    ordered_at: Mapped[datetime] = mapped_column(UtcDateTime)
    attempts: Mapped[int] = mapped_column(Integer)
    next_at: Mapped[datetime] = mapped_column(UtcDateTime)


class BillingOpening(Base):
    """A period that a payment opened. Once per subscription and start, whatever is delivered how often."""

    __tablename__ = "billing_opening"

    subscription_id: Mapped[str] = mapped_column(Text, primary_key=True)
    period_start: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)
    user_id: Mapped[str] = mapped_column(Text)
    event_id: Mapped[str] = mapped_column(Text)
    opened_at: Mapped[datetime] = mapped_column(UtcDateTime)


class BillingFinding(Base):
    """A difference between Stripe and us, once for each object, open until it is gone or somebody closes it."""

    __tablename__ = "billing_finding"
    __table_args__ = (UniqueConstraint("kind", "object_id"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    object_id: Mapped[str] = mapped_column(Text)
    user_id: Mapped[str | None] = mapped_column(Text)
    sentence: Mapped[str] = mapped_column(Text)
    found_at: Mapped[datetime] = mapped_column(UtcDateTime)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    closed_by: Mapped[str | None] = mapped_column(Text)


class BillingCheck(Base):
    """How the comparison with Stripe goes: when it ended, and until when Stripe's events were read.

    `seen_at` is written at each look of the job; a gap in it is an outage of ours.
    """

    __tablename__ = "billing_check"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
    tried_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    read_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    compared: Mapped[int] = mapped_column(Integer)
    error: Mapped[str | None] = mapped_column(Text)


EVENTS = cast(Table, BillingEvent.__table__)
ATTEMPTS = cast(Table, BillingAttempt.__table__)
FACTS = cast(Table, BillingFact.__table__)
CUSTOMERS = cast(Table, BillingCustomer.__table__)
ACCOUNTS = BILLING
MERGES = cast(Table, BillingMerge.__table__)
PRICES = cast(Table, BillingPrice.__table__)
FINDINGS = cast(Table, BillingFinding.__table__)
CHECKS = cast(Table, BillingCheck.__table__)
AUTO_TOP_UPS = cast(Table, BillingAutoTopUp.__table__)
TOP_UP_ORDERS = cast(Table, BillingTopUpOrder.__table__)
OPENINGS = cast(Table, BillingOpening.__table__)

# Written into the SQL as constants: with parameters in their place no database would see that its partial index fits.
IS_OPEN = EVENTS.c.state.in_([literal_column("'new'"), literal_column("'claimed'")])
IS_STUCK = EVENTS.c.state.in_([literal_column("'parked'"), literal_column("'dead'")])
