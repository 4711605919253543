"""Facts out of checkouts: who a customer is, and which packs were bought and paid."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from credits_engine.billing.facts import Link, PackPaid
from credits_engine.billing.stripe_api.json_fields import (
    Json,
    UnreadableEventError,
    created,
    guest,
    identifier,
    instant,
    integer_or_none,
    list_at,
    named_user,
    object_at,
    required_id,
    required_object,
    value_at,
)

TYPES = ("checkout.session.completed", "checkout.session.async_payment_succeeded")
PAID = ("paid", "no_payment_required")
PACK_KEY = "credit_pack"
"""Under this name a session's metadata says which pack it sells: events show no line items."""
UNIT_AMOUNT_KEY = "credit_pack_unit_amount"
"""And under this one what one pack costs, in the currency's smallest unit: how many were bought follows from it."""
QUANTITY_MAX = 10_000
UNIT_AMOUNT = re.compile(r"[1-9]\d{0,11}", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Line:
    price: str
    quantity: int


def checkout(event: Json) -> Iterator[Link | PackPaid]:
    """Yield the facts of a checkout; both of its events state the same payment, which may be paid only later."""
    session = required_object(event)
    match session.get("mode"):
        case "subscription":
            yield from _link(event, session)
        case "payment" if session.get("payment_status") in PAID:
            yield from _packs(event, session)


def is_sale(event: Json) -> bool:
    """Return whether the event tells of a one-off checkout that is paid, whatever it sold."""
    session = value_at(event, "data", "object")
    return event.get("type") in TYPES and session.get("mode") == "payment" and session.get("payment_status") in PAID


def _link(event: Json, session: Json) -> Iterator[Link]:
    user_id, customer_id = _user(session), identifier(session.get("customer"))
    if user_id and customer_id:
        yield Link(f"{customer_id}:link", customer_id, user_id, created(event))


def _packs(event: Json, session: Json) -> Iterator[PackPaid]:
    session_id, intent = required_id(session, "id"), identifier(session.get("payment_intent"))
    for number, line in enumerate(_lines(session)):
        yield PackPaid(
            identity=f"{session_id}:pack:{number}",
            customer_id=identifier(session.get("customer")) or guest(intent or session_id),
            # The session's own time is the same in every event about it, so what it buys ends at one instant.
            at=instant(session.get("created")) or created(event),
            price=line.price,
            quantity=line.quantity,
            payment_intent=intent,
            user_id=_user(session),
            invoice_id=identifier(session.get("invoice")),
            total=integer_or_none(session.get("amount_total")),
        )


def _lines(session: Json) -> Iterator[_Line]:
    pack = value_at(session, "metadata").get(PACK_KEY)
    if isinstance(pack, str) and pack:
        yield _Line(pack, _quantity(session, pack))
        return
    for item in list_at(session.get("line_items")):
        price, quantity = item.get("price"), item.get("quantity")
        name = object_at(price, "lookup_key", None) or identifier(price)
        if not isinstance(name, str) or type(quantity) is not int or not 1 <= quantity <= QUANTITY_MAX:
            raise UnreadableEventError("no_price", f"A line of checkout {session.get('id')} names no price and number.")
        yield _Line(name, quantity)


def _quantity(session: Json, pack: str) -> int:
    """Return the number of packs bought, by the lines or by the amount; 0 where neither tells.

    A payment link may let the buyer choose how many, and its metadata stays the same.
    """
    items = list(list_at(session.get("line_items")))
    if items:
        of_it = [item for item in items if len(items) == 1 or pack in _names(item.get("price"))]
        quantities = [item.get("quantity") for item in of_it]
        total = sum(each for each in quantities if type(each) is int and each > 0)
        return total if total <= QUANTITY_MAX else 0
    unit = value_at(session, "metadata").get(UNIT_AMOUNT_KEY)
    # Before 2025-03-31 the amounts of a session are in the buyer's currency where that is not the price's own.
    priced = value_at(session, "currency_conversion") or session
    amount = priced.get("amount_subtotal", priced.get("amount_total"))
    if type(amount) is not int or not isinstance(unit, str) or not UNIT_AMOUNT.fullmatch(unit):
        return 0
    quantity, rest = divmod(amount, int(unit))
    return quantity if rest == 0 and 1 <= quantity <= QUANTITY_MAX else 0


def _names(price: object) -> tuple[object, ...]:
    return object_at(price, "lookup_key", None), identifier(price)


def _user(session: Json) -> str | None:
    reference = session.get("client_reference_id")
    return reference if isinstance(reference, str) and reference else named_user(session)
