import copy
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credits_engine.billing.facts import InvoicePaid, Link, Refund, Snapshot
from credits_engine.billing.stripe_api import events
from credits_engine.billing.stripe_api.events import OTHERS, SUBSCRIPTION
from credits_engine.billing.stripe_api.json_fields import UnreadableEventError
from tests.credits_engine.billing.stories import facts_of, random_life
from tests.credits_engine.billing.stripe_objects import GENERATIONS, Json
from tests.credits_engine.billing.virtual_stripe import START, VirtualStripe

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
LIFE = [event for seed in range(6) for event in random_life(seed, days=60).events]


def paths(value: Any, so_far: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the way to every value within a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [so_far, *(path for key, each in inner for path in paths(each, (*so_far, key)))]


def of_type(kind: str, generation: str) -> Json:
    stripe = VirtualStripe(generation)
    subscription = stripe.checkout("ada", "pro_monthly")
    stripe.refund(subscription)
    stripe.cancel(subscription, at_once=True)
    return next(event for event in stripe.events if event["type"] == kind)


@pytest.mark.parametrize("generation", GENERATIONS)
def test_period_plan_and_owner_are_read_from_every_generation(generation: str) -> None:
    (snapshot,) = events.facts(of_type("customer.subscription.created", generation))
    assert isinstance(snapshot, Snapshot)
    (item,) = snapshot.items
    assert item.period is not None
    assert (item.lookup_key, item.price_id) == ("pro_monthly", "price_pro_monthly")
    assert (item.period.start, item.period.end) == (START, START.replace(month=12))
    (paid,) = events.facts(of_type("invoice.paid", generation))
    assert isinstance(paid, InvoicePaid)
    assert (paid.subscription_id, paid.period, paid.total) == (snapshot.subscription_id, item.period, 2900)
    (refund,) = events.facts(of_type("charge.refunded", generation))
    assert isinstance(refund, Refund)
    assert refund.amount_refunded == refund.amount
    (link,) = events.facts(of_type("checkout.session.completed", generation))
    assert isinstance(link, Link)
    assert (link.customer_id, link.user_id) == ("cus_ada", "ada")


def test_both_events_of_one_payment_state_the_same_fact() -> None:
    for generation in GENERATIONS:
        one, other = (of_type(kind, generation) for kind in ("invoice.paid", "invoice.payment_succeeded"))
        assert events.facts(one) == events.facts(other)


def test_objects_may_come_expanded() -> None:
    event = copy.deepcopy(of_type("customer.subscription.created", GENERATIONS[-1]))
    expected = events.facts(event)
    event["data"]["object"]["customer"] = {"id": "cus_ada", "object": "customer", "email": "ada@example.com"}
    assert events.facts(event) == expected


def test_a_proration_is_a_payment_of_no_period() -> None:
    stripe = VirtualStripe()
    subscription = stripe.checkout("ada", "starter_monthly")
    stripe.change_price(subscription, "pro_monthly")
    paid = [fact for fact in facts_of(stripe.events) if isinstance(fact, InvoicePaid)]
    assert [fact.period is None for fact in dict.fromkeys(paid)] == [False, True]


def test_an_invoice_without_a_subscription_and_a_charge_of_nobody_state_nothing() -> None:
    invoice = copy.deepcopy(of_type("invoice.paid", GENERATIONS[0]))
    del invoice["data"]["object"]["subscription"]
    invoice["data"]["object"]["lines"]["data"] = []
    assert events.facts(invoice) == ()
    charge = copy.deepcopy(of_type("charge.refunded", GENERATIONS[0]))
    charge["data"]["object"] |= {"customer": None, "payment_intent": None}
    assert events.facts(charge) == ()


def test_a_checkout_that_names_nobody_states_nothing() -> None:
    stripe = VirtualStripe()
    stripe.checkout("ada", "pro_monthly", reference=False)
    assert events.facts(stripe.events[-1]) == ()


@given(st.sampled_from([*SUBSCRIPTION, *OTHERS, "moon.eclipsed"]), json_values)
def test_any_object_gives_facts_or_a_reasoned_refusal(kind: str, stated: Any) -> None:
    event = {"id": "evt_1", "type": kind, "created": 1, "data": {"object": stated}}
    with suppress(UnreadableEventError):
        events.facts(event)


@given(st.sampled_from(LIFE), st.data())
def test_an_event_with_any_part_replaced_gives_facts_or_a_reasoned_refusal(event: Json, data: st.DataObject) -> None:
    changed = copy.deepcopy(event)
    *way, last = data.draw(st.sampled_from(paths(changed)[1:]))
    place: Any = changed
    for step in way:
        place = place[step]
    place[last] = data.draw(json_values)
    with suppress(UnreadableEventError):
        events.facts(changed)
