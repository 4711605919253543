"""Facts, stored once under their identity and read back as values, and the packs that were granted for them."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import and_, bindparam, select
from sqlalchemy.orm import Session

from credits_engine.billing.facts import (
    CreditNote,
    Dispute,
    Fact,
    InvoiceFailed,
    InvoiceItem,
    InvoicePaid,
    InvoiceVoided,
    Link,
    PackPaid,
    Payment,
    Refund,
    RefundFailed,
    Snapshot,
)
from credits_engine.billing.models import CUSTOMERS, FACTS
from credits_engine.engines.packs import Pack
from credits_engine.store import packs
from credits_engine.store.tables import KEYS, PACK_ENTRIES, ResultRow, execute_core, insert_if_absent, inserted

KINDS: Mapping[str, type[object]] = {
    each.__name__: each
    for each in (
        Snapshot,
        InvoicePaid,
        InvoiceFailed,
        InvoiceVoided,
        InvoiceItem,
        Payment,
        Refund,
        RefundFailed,
        Dispute,
        CreditNote,
        PackPaid,
        Link,
    )
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
OF_PAYMENT = select(FACTS.c.kind, FACTS.c.document).where(FACTS.c.payment_intent == bindparam("payment_intent"))
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
        "payment_intent": _payment_name(fact),
    }
    return inserted(session, ADD, row)


def _payment_name(fact: Fact) -> str | None:
    """Return the name by which a payment leads to this fact: the payment's, or for a pack that of its invoice."""
    intent: str | None = getattr(fact, "payment_intent", None)
    return fact.invoice_id if isinstance(fact, PackPaid) and intent is None else intent


def of_user(session: Session, user_id: str) -> list[Fact]:
    """Return everything known about a user's customers, with the payments that tell which invoice a refund is about."""
    found = [_read(row) for row in execute_core(session, OF_USER, {"user_id": user_id})]
    returned = [each for each in found if isinstance(each, Refund | RefundFailed | Dispute) and each.payment_intent]
    intents = {each.payment_intent for each in returned if getattr(each, "invoice_id", None) is None}
    return found + by_identity(session, [f"payment:{intent}" for intent in sorted(filter(None, intents))])


def of_customer(session: Session, customer_id: str) -> list[Fact]:
    """Return everything known about one customer."""
    return [_read(row) for row in execute_core(session, OF_CUSTOMER, {"customer_id": customer_id})]


def by_identity(session: Session, identities: Sequence[str]) -> list[Fact]:
    """Return the facts that are known under these identities."""
    if not identities:
        return []
    return [_read(row) for row in execute_core(session, BY_IDENTITY, {"identities": list(identities)})]


def payer(session: Session, fact: Fact) -> str | None:
    """Return the customer whose payment a fact is about; None while that is not known."""
    if isinstance(fact, Payment):
        return _customer_of_invoice(session, fact.invoice_id)
    intent = getattr(fact, "payment_intent", None)
    return payer_of(session, intent) if intent else None


def reference(session: Session, payment_intent: str) -> str:
    """Return the name under which a payment becomes known next: its invoice's once that is known, else its own."""
    known = by_identity(session, [f"payment:{payment_intent}"])
    return next((each.invoice_id for each in known if isinstance(each, Payment)), payment_intent)


def payer_of(session: Session, payment_intent: str) -> str | None:
    """Return the customer of a payment, or of an invoice; None while nothing that was bought with it is known."""
    known = [_read(row) for row in execute_core(session, OF_PAYMENT, {"payment_intent": payment_intent})]
    found = [name for each in known if (name := getattr(each, "customer_id", None))]
    found += [
        name for each in known if isinstance(each, Payment) and (name := _customer_of_invoice(session, each.invoice_id))
    ]
    return found[0] if found else _customer_of_invoice(session, payment_intent)


def _customer_of_invoice(session: Session, invoice_id: str) -> str | None:
    paid = by_identity(session, [f"{invoice_id}:paid"])
    # An invoice of no subscription is known by the packs that it sold.
    paid += [_read(row) for row in execute_core(session, OF_PAYMENT, {"payment_intent": invoice_id})]
    return next((each.customer_id for each in paid if isinstance(each, InvoicePaid | PackPaid)), None)


def sources(session: Session, identities: Sequence[str]) -> set[str]:
    """Return the events that told these facts first."""
    return {row.event_id for row in execute_core(session, SOURCES, {"identities": list(identities)})}


def _read(row: ResultRow) -> Fact:
    fact: Fact = CODECS[row.kind].validate_json(row.document)
    return fact


BOUGHT = (
    select(PACK_ENTRIES.c.pack_id)
    .join(KEYS, and_(KEYS.c.user_id == PACK_ENTRIES.c.user_id, KEYS.c.journal_id == PACK_ENTRIES.c.journal_id))
    .where(KEYS.c.user_id == bindparam("user_id"), KEYS.c.key == bindparam("key"), PACK_ENTRIES.c.amount >= 0)
)


def lock_packs(session: Session, user_id: str, key: str) -> Pack | None:
    """Return the pack that was granted under a key, locked; None before."""
    pack_id = execute_core(session, BOUGHT, {"user_id": user_id, "key": key}).scalar_one_or_none()
    return None if pack_id is None else packs.lock(session, user_id, pack_id)


def revoked(session: Session, pack: Pack, *, actor: str | None = None) -> int:
    """Return the number of credits revoked from a pack and not put back, by anybody or by one actor."""
    found = packs.taken_back(session, pack)
    return sum(found.values()) if actor is None else found.get(actor, 0)
