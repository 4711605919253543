"""The stand-in is held to the official library's types, so that the other tests are about Stripe and not about it."""

import json
from typing import Any

import pytest
import stripe

from tests.credits_engine.billing.conftest import SECRET, sign
from tests.credits_engine.billing.stories import random_life
from tests.credits_engine.billing.stripe_objects import GENERATIONS, NEW, OLD, OLD_GENERATIONS, Json
from tests.credits_engine.billing.virtual_sales import give_back, receive_payment, sell
from tests.credits_engine.billing.virtual_stripe import VirtualStripe

# The library's type of every object that our events carry, and of the objects within.
TYPES: dict[str, Any] = {
    "event": stripe.Event,
    "subscription": stripe.Subscription,
    "subscription_item": stripe.SubscriptionItem,
    "price": stripe.Price,
    "invoice": stripe.Invoice,
    "line_item": stripe.InvoiceLineItem,
    "invoice_payment": stripe.InvoicePayment,
    "charge": stripe.Charge,
    "checkout.session": stripe.checkout.Session,
    "item": stripe.LineItem,
}
MOVED_SINCE_OLD = {
    "subscription": {"current_period_start", "current_period_end"},
    "invoice": {"subscription", "payment_intent"},
    "line_item": {"type", "price", "proration"},
    "charge": {"invoice"},
}


def strange_fields(value: object) -> dict[str, set[str]]:
    """For each kind of object, the fields that the library's type does not have."""
    found: dict[str, set[str]] = {}
    if isinstance(value, dict):
        kind = value.get("object")
        if isinstance(kind, str) and kind in TYPES:
            strange = set(value) - _fields(TYPES[kind])
            if strange:
                found[kind] = strange
        for inner in value.values():
            for name, fields in strange_fields(inner).items():
                found[name] = found.get(name, set()) | fields
    if isinstance(value, list):
        for inner in value:
            for name, fields in strange_fields(inner).items():
                found[name] = found.get(name, set()) | fields
    return found


def some_events(generation: str) -> list[Json]:
    return [event for seed in range(12) for event in random_life(seed, generation=generation).events]


def test_every_field_of_the_newest_generation_is_one_of_the_librarys() -> None:
    events = some_events(NEW)
    assert {event["type"] for event in events} >= {"customer.subscription.deleted", "charge.refunded"}
    assert strange_fields(events) == {}


def test_every_field_of_a_sale_is_one_of_the_librarys() -> None:
    virtual = VirtualStripe()
    for quantity in (None, 2):
        session = sell(virtual, "ada", "pack_roast_10", quantity=quantity)
        receive_payment(virtual, session)
        give_back(virtual, session)
    assert strange_fields(virtual.events) == {}


def test_the_oldest_generation_has_what_the_library_no_longer_knows_and_nothing_else() -> None:
    found = strange_fields(some_events(OLD))
    assert found == MOVED_SINCE_OLD


@pytest.mark.parametrize("generation", GENERATIONS)
def test_the_official_library_accepts_the_events_and_reads_the_same_values(generation: str) -> None:
    virtual = VirtualStripe(generation)
    virtual.checkout("ada", "pro_monthly")
    for event in virtual.events:
        body = json.dumps(event).encode()
        built = stripe.Webhook.construct_event(body, sign(body), SECRET)
        assert (built.id, built.type, built.api_version) == (event["id"], event["type"], generation)
    updated = next(event for event in virtual.events if event["type"] == "customer.subscription.updated")
    subscription = stripe.Subscription.construct_from(updated["data"]["object"], "sk_test")
    holder: stripe.StripeObject = subscription if generation in OLD_GENERATIONS else subscription.items.data[0]
    assert (holder["current_period_end"] - holder["current_period_start"]) == 30 * 86_400


def _fields(kind: type) -> set[str]:
    return {name for base in kind.__mro__ for name in getattr(base, "__annotations__", {})}
