"""How many packs were paid for: told by the lines, by the amount or by Stripe itself, and never guessed."""

from typing import Any

import pytest

from credits_engine.billing.inbox.worker import StripeLookup
from credits_engine.billing.stripe_api.client import connect
from credits_engine.store.tables import PACKS
from tests.credits_engine.billing import fake_api
from tests.credits_engine.billing.conftest import Billing
from tests.credits_engine.billing.fake_api import KEY
from tests.credits_engine.billing.stripe_objects import GENERATIONS, Json
from tests.credits_engine.billing.virtual_sales import CENTS, sell
from tests.credits_engine.billing.virtual_stripe import START, VirtualStripe

PRICE = "pack_roast_100"


def line(quantity: int, price: str = PRICE) -> Json:
    return {
        "id": f"li_{price}",
        "object": "item",
        "quantity": quantity,
        "price": {"lookup_key": price, "id": f"p_{price}"},
    }


def checkout(generation: str, **changes: Any) -> VirtualStripe:
    stripe = VirtualStripe(generation)
    session = sell(stripe, "ada", PRICE)
    session["metadata"].pop("credit_pack_unit_amount")
    session |= {"amount_subtotal": 3 * CENTS, "amount_total": 3 * CENTS}
    for name, value in changes.items():
        session[name] = {**session["metadata"], **value} if name == "metadata" else value
    return stripe


def granted(billing: Billing) -> list[int]:
    return [row["amount"] for row in billing.rows(PACKS)]


TOLD: dict[str, tuple[Json, int]] = {
    "by the line": ({"line_items": {"data": [line(3)]}}, 3),
    "by the line of that pack": ({"line_items": {"data": [line(3), line(5, "shipping")]}}, 3),
    "by the amount": ({"metadata": {"credit_pack_unit_amount": str(CENTS)}}, 3),
    "by the amount before a discount": (
        {"metadata": {"credit_pack_unit_amount": str(CENTS)}, "amount_total": CENTS},
        3,
    ),
    "by the amount in the currency of the price": (
        {
            "metadata": {"credit_pack_unit_amount": str(CENTS)},
            "amount_subtotal": 450 * CENTS,
            "currency": "jpy",
            "currency_conversion": {"amount_subtotal": 3 * CENTS, "amount_total": 3 * CENTS, "source_currency": "usd"},
        },
        3,
    ),
    "by the amount of one": ({"metadata": {"credit_pack_unit_amount": str(3 * CENTS)}}, 1),
}


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize(("changes", "quantity"), TOLD.values(), ids=TOLD)
def test_as_many_are_granted_as_were_paid(billing: Billing, generation: str, changes: Json, quantity: int) -> None:
    billing.process(checkout(generation, **changes).events, at=START)
    assert granted(billing) == [100 * quantity]


UNTOLD: dict[str, Json] = {
    "nothing": {},
    "no whole number": {"metadata": {"credit_pack_unit_amount": "700"}},
    "no price": {"metadata": {"credit_pack_unit_amount": "free"}},
    "other lines alone": {"line_items": {"data": [line(3, "a"), line(5, "b")]}},
    "no amount": {"metadata": {"credit_pack_unit_amount": str(CENTS)}, "amount_subtotal": None},
}


@pytest.mark.parametrize("changes", UNTOLD.values(), ids=UNTOLD)
def test_what_nobody_tells_waits_where_people_see_it(billing: Billing, changes: Json) -> None:
    stripe = checkout(GENERATIONS[-1], **changes)
    billing.process(stripe.events, at=START)
    event = billing.event(stripe.events[0]["id"])
    assert (event["state"], event["waiting_for"]) == ("parked", "stripe:")
    assert "How many packs" in event["reason"]
    assert granted(billing) == []


def apply_checkout(billing: Billing, stripe: VirtualStripe, *lines: Json) -> None:
    """Work off a checkout while Stripe answers which lines it has."""
    with fake_api.serving(stripe) as api:
        api.lines[stripe.events[0]["data"]["object"]["id"]] = list(lines)
        billing.now = START
        billing.deliver(*stripe.events)
        billing.work(doubts=StripeLookup(connect(KEY, base_url=api.url)))


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_checkout_without_metadata_is_asked_for_its_lines(billing: Billing, generation: str) -> None:
    stripe = checkout(generation, metadata={"credit_pack": ""})
    apply_checkout(billing, stripe, line(2), line(5, "shipping"))
    assert granted(billing) == [200]
    assert set(billing.states().values()) == {"applied"}


def test_a_checkout_of_something_else_is_ignored_and_says_whether_it_was_asked_for(billing: Billing) -> None:
    stripe = checkout(GENERATIONS[-1], metadata={"credit_pack": ""})
    billing.process(stripe.events, at=START)
    (event,) = stripe.events
    assert "STRIPE_API_KEY" in billing.event(event["id"])["reason"]
    other = {**event, "id": "evt_other"}
    stripe.events[:] = [other]
    apply_checkout(billing, stripe, line(1, "a_mug"))
    assert billing.event("evt_other")["state"] == "ignored"
    assert billing.event("evt_other")["reason"] == "This checkout names no pack that is on sale."
    assert granted(billing) == []


def test_stripe_is_asked_where_the_event_does_not_tell(billing: Billing) -> None:
    stripe = checkout(GENERATIONS[-1])
    with fake_api.serving(stripe) as api:
        api.lines[stripe.events[0]["data"]["object"]["id"]] = [line(3)]
        billing.now = START
        billing.deliver(*stripe.events)
        billing.work(doubts=StripeLookup(connect(KEY, base_url=api.url)))
    assert granted(billing) == [300]
    assert set(billing.states().values()) == {"applied"}
