"""Facts, stored once under their identity and read back as values."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from credits_engine.billing.entitlements.facts import (
    CreditNote,
    Fact,
    InvoiceFailed,
    InvoicePaid,
    InvoiceVoided,
    Link,
    PackPaid,
    Payment,
    Refund,
    Snapshot,
)
from credits_engine.billing.store.tables import CUSTOMERS, FACTS
from credits_engine.store.tables import execute_core, insert_if_absent, inserted

KINDS: Mapping[str, type[Any]] = {
    each.__name__: each
    for each in (Snapshot, InvoicePaid, InvoiceFailed, InvoiceVoided, Payment, Refund, CreditNote, PackPaid, Link)
}
CODECS: Mapping[str, TypeAdapter[Any]] = {name: TypeAdapter(each) for name, each in KINDS.items()}
ADD = insert_if_absent(FACTS)
OF_USER = (
    select(FACTS.c.kind, FACTS.c.document)
    .join(CUSTOMERS, CUSTOMERS.c.customer_id == FACTS.c.customer_id)
    .where(CUSTOMERS.c.user_id == bindparam("user_id"), FACTS.c.kind != Link.__name__)
)
OF_CUSTOMER = select(FACTS.c.kind, FACTS.c.document).where(FACTS.c.customer_id == bindparam("customer_id"))
IS_NAMED = FACTS.c.identity.in_(bindparam("identities", expanding=True))
BY_IDENTITY = select(FACTS.c.kind, FACTS.c.document).where(IS_NAMED)
SOURCES = select(FACTS.c.event_id).where(IS_NAMED).distinct()


def add(session: Session, fact: Fact, *, event_id: str) -> bool:
    """Store a fact; False when it was known already, from whichever event."""
    kind = type(fact).__name__
    row = {
        "identity": fact.identity,
        "kind": kind,
        "customer_id": getattr(fact, "customer_id", None),
        "event_id": event_id,
        "document": CODECS[kind].dump_json(fact).decode(),
    }
    return inserted(session, ADD, row)


def of_user(session: Session, user_id: str) -> list[Fact]:
    """Everything known about a user's customers, with the payments that tell which invoice a refund is about."""
    found = [_read(row) for row in execute_core(session, OF_USER, {"user_id": user_id})]
    refunds = [each for each in found if isinstance(each, Refund) and each.invoice_id is None and each.payment_intent]
    return found + by_identity(session, [f"payment:{refund.payment_intent}" for refund in refunds])


def of_customer(session: Session, customer_id: str) -> list[Fact]:
    """Everything known about one customer."""
    return [_read(row) for row in execute_core(session, OF_CUSTOMER, {"customer_id": customer_id})]


def by_identity(session: Session, identities: Sequence[str]) -> list[Fact]:
    """The facts that are known under these identities."""
    if not identities:
        return []
    return [_read(row) for row in execute_core(session, BY_IDENTITY, {"identities": list(identities)})]


def sources(session: Session, identities: Sequence[str]) -> set[str]:
    """The events that told these facts first."""
    return {row.event_id for row in execute_core(session, SOURCES, {"identities": list(identities)})}


def _read(row: Any) -> Fact:
    fact: Fact = CODECS[row.kind].validate_json(row.document)
    return fact
