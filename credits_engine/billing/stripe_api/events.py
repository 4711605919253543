"""Facts out of events of every API generation, by looking at what an object has instead of at its version.

Stripe moved the service period from the subscription to its items and the subscription of an invoice under `parent`
with 2025-03-31.basil. A payload has the version of its endpoint, which outlives upgrades of the account.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from credits_engine.billing.facts import (
    TERMINAL,
    Fact,
    Item,
    Link,
    Pause,
    PauseBehavior,
    Snapshot,
    Source,
    Status,
)
from credits_engine.billing.stripe_api import checkouts, invoices, refunds
from credits_engine.billing.stripe_api.json_fields import (
    Json,
    UnreadableEventError,
    created,
    identifier,
    instant,
    list_at,
    named_user,
    quantity_of,
    required_id,
    required_object,
    span,
    value_at,
)
from credits_engine.engines.periods import Period

THIN = "v2.core.event"
THIN_PREFIX = "v1."
SUBSCRIPTION_PREFIX = "customer.subscription."
SUBSCRIPTION = {
    "customer.subscription.created": Source.CREATED,
    "customer.subscription.updated": Source.UPDATED,
    "customer.subscription.deleted": Source.DELETED,
    "customer.subscription.paused": Source.PAUSED,
    "customer.subscription.resumed": Source.RESUMED,
}


def facts(event: Json) -> tuple[Fact, ...]:
    """Return the facts of the event; empty for events that credits do not depend on.

    Raises UnreadableEventError where a fact is stated in a shape that no known API generation has.
    """
    kind = str(event.get("type"))
    if kind in SUBSCRIPTION:
        return tuple(_subscription(event, SUBSCRIPTION[kind]))
    return tuple(OTHERS[kind](event)) if kind in OTHERS else ()


def snapshot(subscription: Json, *, at: datetime, source: Source, identity: str) -> Snapshot:
    """Return a subscription object of any API generation as a fact. Raises UnreadableEventError."""
    status = _status(subscription)
    items = tuple(_items(subscription))
    if status not in TERMINAL and not any(item.period for item in items):
        raise UnreadableEventError(
            "no_period", f"Subscription {subscription.get('id')} shows no current period, neither on items nor on top."
        )
    return Snapshot(
        identity=identity,
        subscription_id=required_id(subscription, "id"),
        customer_id=required_id(subscription, "customer"),
        at=at,
        source=source,
        status=status,
        items=items,
        anchor=instant(subscription.get("billing_cycle_anchor")),
        cancel_at=instant(subscription.get("cancel_at")),
        ends_with_period=subscription.get("cancel_at_period_end") is True,
        ended_at=instant(subscription.get("ended_at")) or (at if status in TERMINAL else None),
        user_id=named_user(subscription),
        is_partial=value_at(subscription, "items").get("has_more") is True,
        pause=_pause(subscription),
        is_invoiced=subscription.get("collection_method") == "send_invoice",
    )


def subject(event: Json) -> tuple[str | None, str | None]:
    """Return the customer and the object that an event is about, as far as it says; for listing, never for deciding."""
    stated = value_at(event, "related_object") or value_at(event, "data", "object")
    own = identifier(stated)
    is_customer = stated.get("object") == "customer" or stated.get("type") == "customer"
    return own if is_customer else identifier(stated.get("customer")), own


def _subscription(event: Json, source: Source) -> Iterator[Snapshot]:
    stated = required_object(event)
    after = snapshot(stated, at=created(event), source=source, identity=required_id(event, "id"))
    before = _before(event, stated, after)
    if before is None:
        yield after
        return
    if _prices(before) != _prices(after):
        # Kept as a fact of its own, so that one event alone can tell a downgrade from a start.
        yield before
    yield replace(after, replaces=before.content)


def _before(event: Json, stated: Json, after: Snapshot) -> Snapshot | None:
    """Return the state that an update says it replaced, as far as it can be read."""
    previous = value_at(event, "data", "previous_attributes")
    if not previous:
        return None
    try:
        return snapshot({**stated, **previous}, at=after.at, source=Source.BEFORE, identity=f"{after.identity}:before")
    except UnreadableEventError:
        return None


def _items(subscription: Json) -> Iterator[Item]:
    above = _current(subscription)
    for item in list_at(subscription.get("items")):
        price = item.get("price") or item.get("plan")
        price_id = identifier(price)
        if price_id is None:
            raise UnreadableEventError("no_price", f"An item of subscription {subscription.get('id')} names no price.")
        lookup_key = price.get("lookup_key") if isinstance(price, Mapping) else None
        yield Item(
            price_id,
            lookup_key if isinstance(lookup_key, str) else None,
            _current(item) or above,
            quantity=quantity_of(item),
        )


def _prices(snapshot: Snapshot) -> list[str]:
    return [item.price_id for item in snapshot.items]


def _current(stated: Json) -> Period | None:
    return span(stated, "current_period_start", "current_period_end")


def _status(subscription: Json) -> Status:
    try:
        return Status(str(subscription.get("status")))
    except ValueError:
        raise UnreadableEventError(
            "unknown_status", f"Subscription {subscription.get('id')} has the status {subscription.get('status')!r}."
        ) from None


def _pause(subscription: Json) -> Pause | None:
    stated = value_at(subscription, "pause_collection")
    if not stated:
        return None
    try:
        return Pause(PauseBehavior(str(stated.get("behavior"))), instant(stated.get("resumes_at")))
    except ValueError:
        raise UnreadableEventError(
            "unknown_pause", f"Subscription {subscription.get('id')} is paused by {stated.get('behavior')!r}."
        ) from None


def _customer(event: Json) -> Iterator[Link]:
    customer = required_object(event)
    if user_id := named_user(customer):
        customer_id = required_id(customer, "id")
        yield Link(f"{customer_id}:link", customer_id, user_id, created(event))


OTHERS: Mapping[str, Callable[[Json], Iterable[Fact]]] = {
    **dict.fromkeys(invoices.PAID, invoices.paid),
    "invoice.payment_failed": invoices.failed,
    "invoice.finalization_failed": invoices.failed,
    "invoice.marked_uncollectible": invoices.failed,
    "invoice.voided": invoices.voided,
    "invoice_payment.paid": invoices.payment,
    "invoiceitem.created": invoices.item,
    "invoiceitem.updated": invoices.item,
    "invoiceitem.deleted": invoices.item,
    "charge.refunded": refunds.refund,
    "charge.refund.updated": refunds.refund_failed,
    "refund.updated": refunds.refund_failed,
    "refund.failed": refunds.refund_failed,
    "charge.dispute.created": refunds.dispute,
    "charge.dispute.updated": refunds.dispute,
    "charge.dispute.closed": refunds.dispute,
    "charge.dispute.funds_withdrawn": refunds.dispute,
    "charge.dispute.funds_reinstated": refunds.dispute,
    "credit_note.created": refunds.credit_note,
    "credit_note.updated": refunds.credit_note,
    "credit_note.voided": refunds.credit_note,
    "checkout.session.completed": checkouts.checkout,
    "checkout.session.async_payment_succeeded": checkouts.checkout,
    "customer.created": _customer,
    "customer.updated": _customer,
}
"""The other types of event that state something; whatever is in neither table is stored and ignored."""

TYPES = frozenset({*SUBSCRIPTION, *OTHERS})
"""Every type of event that states something."""


def thin_type(kind: str) -> str | None:
    """Return what a thin event of this type tells of, as a type of its snapshot; None for what we don't depend on."""
    name = kind.removeprefix(THIN_PREFIX)
    if kind == name:
        return None
    if name.startswith(SUBSCRIPTION_PREFIX):
        return "customer.subscription.updated"
    return name if name in TYPES else None
