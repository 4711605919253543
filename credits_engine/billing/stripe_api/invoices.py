"""Facts out of invoices and what settles them, of every API generation."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

from credits_engine.billing.facts import (
    InvoiceFailed,
    InvoiceItem,
    InvoiceLine,
    InvoicePaid,
    InvoiceVoided,
    PackPaid,
    Payment,
)
from credits_engine.billing.stripe_api.json_fields import (
    Json,
    UnreadableEventError,
    created,
    identifier,
    instant,
    integer,
    integer_or_none,
    list_at,
    named_user,
    object_at,
    quantity_of,
    required_id,
    required_object,
    span,
    text_or_none,
    value_at,
)
from credits_engine.engines.periods import Period

PAID = ("invoice.paid", "invoice.payment_succeeded")


def paid(event: Json) -> Iterator[InvoicePaid]:
    """Yield the payment of a subscription's invoice. Two types of event announce it, and both state the same fact."""
    invoice = required_object(event)
    for common in _of_subscription(invoice):
        yield InvoicePaid(
            identity=f"{common['invoice_id']}:paid",
            at=_paid_at(event, invoice),
            period=_served_period(invoice),
            total=integer(invoice.get("total")),
            payment_intent=identifier(invoice.get("payment_intent")),
            lines=tuple(_lines(invoice)),
            is_partial=_is_partial(invoice),
            amount_paid=integer_or_none(invoice.get("amount_paid")),
            credited_of_others=_credited_of_others(invoice),
            currency=text_or_none(invoice.get("currency")),
            **common,
        )


def sold_once(event: Json) -> Iterator[PackPaid]:
    """Yield what a paid invoice sold besides subscriptions; whether any of it is a pack is the price list's to say."""
    invoice = value_at(event, "data", "object") if event.get("type") in PAID else {}
    customer_id = identifier(invoice.get("customer"))
    for line in list_at(invoice.get("lines")):
        price = _price_of(line)
        name, line_id = object_at(price, "lookup_key", None) or identifier(price), identifier(line)
        amount = line.get("amount")
        is_sold = type(amount) is int and amount > 0 and not _is_proration(line) and not _is_of_item(line)
        if customer_id and line_id and isinstance(name, str) and is_sold and quantity_of(line):
            yield PackPaid(
                identity=f"{line_id}:pack",
                customer_id=customer_id,
                at=_paid_at(event, invoice),
                price=name,
                quantity=quantity_of(line),
                payment_intent=identifier(invoice.get("payment_intent")),
                user_id=named_user(invoice),
                invoice_id=required_id(invoice, "id"),
                is_line=True,
                total=integer_or_none(invoice.get("total")),
            )


def hides_lines(event: Json) -> bool:
    """Return whether a paid invoice has more lines than its event shows."""
    return event.get("type") in PAID and _is_partial(value_at(event, "data", "object"))


def _paid_at(event: Json, invoice: Json) -> datetime:
    return instant(value_at(invoice, "status_transitions").get("paid_at")) or created(event)


def failed(event: Json) -> Iterator[InvoiceFailed]:
    """Yield a failed attempt to finalize or to collect a subscription's invoice, or the end of all attempts."""
    invoice = required_object(event)
    for common in _of_subscription(invoice):
        identity = f"{required_id(event, 'id')}:failed"
        yield InvoiceFailed(
            identity=identity,
            at=created(event),
            period=_served_period(invoice),
            lines=tuple(_lines(invoice)),
            is_final=event.get("type") == "invoice.marked_uncollectible",
            **common,
        )


def voided(event: Json) -> Iterator[InvoiceVoided]:
    """Yield a subscription's invoice that nobody has to pay any more."""
    invoice = required_object(event)
    for common in _of_subscription(invoice):
        identity = f"{common['invoice_id']}:voided"
        period, lines = _latest(_own(invoice)), tuple(_lines(invoice))
        yield InvoiceVoided(identity=identity, at=created(event), period=period, lines=lines, **common)


def payment(event: Json) -> Iterator[Payment]:
    """Yield each payment that settled an invoice."""
    stated = required_object(event)
    paid_by = value_at(stated, "payment")
    # A payment of before intents, or one that was recorded, is known by its charge alone.
    intent = identifier(paid_by.get("payment_intent")) or identifier(paid_by.get("charge"))
    if intent is not None:
        identity, invoice_id = f"payment:{intent}", required_id(stated, "invoice")
        yield Payment(identity=identity, invoice_id=invoice_id, payment_intent=intent, at=created(event))


def item(event: Json) -> Iterator[InvoiceItem]:
    """Yield a proration for a subscription that waits for the next invoice; nothing for what is paid once."""
    stated = required_object(event)
    details = value_at(stated, "parent", "subscription_details")
    subscription_id = identifier(stated.get("subscription")) or identifier(details.get("subscription"))
    if subscription_id is None or stated.get("proration") is not True:
        return
    is_deleted, item_id = event.get("type") == "invoiceitem.deleted", required_id(stated, "id")
    for line in _priced([stated]):
        yield InvoiceItem(
            identity=f"{required_id(event, 'id')}:item",
            item_id=item_id,
            subscription_id=subscription_id,
            customer_id=required_id(stated, "customer"),
            at=created(event),
            line=line,
            is_deleted=is_deleted,
        )


def _of_subscription(invoice: Json) -> Iterator[dict[str, Any]]:
    """Yield the common fields of facts about an invoice; nothing for an invoice of no subscription."""
    subscription_id = _subscription_id(invoice)
    if subscription_id is None:
        return
    details = value_at(invoice, "parent", "subscription_details") or value_at(invoice, "subscription_details")
    yield {
        "invoice_id": required_id(invoice, "id"),
        "subscription_id": subscription_id,
        "customer_id": required_id(invoice, "customer"),
        "user_id": named_user(details),
    }


def _subscription_id(invoice: Json) -> str | None:
    """Find it on the invoice, as before basil, or under its parent, as since then; some senders fill only the lines."""
    above = value_at(invoice, "parent", "subscription_details").get("subscription")
    found = identifier(invoice.get("subscription")) or identifier(above)
    for line in list_at(invoice.get("lines")):
        found = found or _subscription_of(line)
    return found


def _served_period(invoice: Json) -> Period | None:
    """Return the service period of the subscription's own lines: never `period_start` of the invoice, which looks back.

    None where it asks for no whole period: only for prorations, or for something that is paid once. Stripe gives a line
    that is paid once a period that begins and ends in the same second.
    """
    own = _own(invoice)
    period = _latest(own)
    if _is_partial(invoice) and not own:
        return None
    if period is None and (own or not any(list_at(invoice.get("lines")))):
        raise UnreadableEventError("no_period", f"Invoice {invoice.get('id')} does not say which period it is for.")
    return period


def _is_partial(invoice: Json) -> bool:
    """Return whether the invoice has more lines than it shows: an event holds ten at most."""
    return value_at(invoice, "lines").get("has_more") is True


def _latest(lines: Iterable[Json]) -> Period | None:
    return max((period for line in lines if (period := span(line.get("period"), "start", "end"))), default=None)


def _lines(invoice: Json) -> Iterator[InvoiceLine]:
    """Return the lines for prices of the subscription, prorations and credits too."""
    yield from _with_tiers_added_up(_priced(_own(invoice)))
    yield from _priced(line for line in _of_its_subscription(invoice) if _is_proration(line))


def _with_tiers_added_up(lines: Iterable[InvoiceLine]) -> Iterator[InvoiceLine]:
    """Return one line for each price and period: a price with tiers has one for each, and for each flat fee."""
    found: dict[tuple[str, Period], InvoiceLine] = {}
    for line in lines:
        tier = found.get((line.price_id, line.period))
        amount, quantity = (tier.amount, tier.quantity) if tier else (0, 0)
        found[line.price_id, line.period] = replace(
            line, amount=amount + line.amount, quantity=quantity + line.quantity
        )
    yield from found.values()


def _priced(lines: Iterable[Json]) -> Iterator[InvoiceLine]:
    for line in lines:
        price = _price_of(line)
        price_id, period, amount = identifier(price), span(line.get("period"), "start", "end"), line.get("amount")
        if price_id and period and type(amount) is int:
            lookup_key = object_at(price, "lookup_key", None)
            named = lookup_key if isinstance(lookup_key, str) else None
            yield InvoiceLine(price_id, named, amount, period, quantity_of(line))


def _price_of(line: Json) -> object:
    return line.get("price") or line.get("plan") or value_at(line, "pricing", "price_details").get("price")


def _own(invoice: Json) -> list[Json]:
    """Return the lines for whole periods of the subscription's items, without prorations and without what is paid once.

    Where no line says that it is for an item, those are taken that say nothing else.
    """
    lines = [line for line in _of_its_subscription(invoice) if not _is_proration(line) and not _is_paid_once(line)]
    return [line for line in lines if _is_of_item(line)] or lines


def _of_its_subscription(invoice: Json) -> list[Json]:
    """Return the lines without those of other subscriptions, which are put on the same invoice sometimes."""
    subscription_id = _subscription_id(invoice)
    return [line for line in list_at(invoice.get("lines")) if _subscription_of(line) in (None, subscription_id)]


def _credited_of_others(invoice: Json) -> int:
    """Return the credits for other subscriptions: those that somebody left wait for the next invoice of theirs."""
    names = (None, _subscription_id(invoice))
    amounts = (line.get("amount") for line in list_at(invoice.get("lines")) if _subscription_of(line) not in names)
    return sum(-amount for amount in amounts if type(amount) is int and amount < 0)


def _subscription_of(line: Json) -> str | None:
    details = value_at(line, "parent", "subscription_item_details")
    item = value_at(line, "parent", "invoice_item_details")
    return (
        identifier(line.get("subscription"))
        or identifier(details.get("subscription"))
        or identifier(item.get("subscription"))
    )


def _is_of_item(line: Json) -> bool:
    """Return whether the line is for an item of a subscription."""
    parent = value_at(line, "parent")
    if parent:
        return parent.get("type") == "subscription_item_details" or "subscription_item_details" in parent
    return line.get("type") == "subscription"


def _is_paid_once(line: Json) -> bool:
    return line.get("type") == "invoiceitem" or value_at(line, "parent").get("type") == "invoice_item_details"


def _is_proration(line: Json) -> bool:
    details = (value_at(line, "parent", f"{kind}_item_details") for kind in ("subscription", "invoice"))
    return line.get("proration") is True or any(each.get("proration") is True for each in details)
