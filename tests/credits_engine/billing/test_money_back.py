"""What customers, their banks and support ask back, in the books: it finds whoever paid, whatever comes first."""

from dataclasses import replace
from datetime import timedelta
from itertools import permutations

import pytest

from control_plane.platform.settings import SETTINGS
from credits_engine.billing import schedule
from credits_engine.billing.store.inbox import State
from credits_engine.store.tables import PACKS
from tests.credits_engine.billing.conftest import Billing
from tests.credits_engine.billing.stripe_objects import GENERATIONS, Json, seconds
from tests.credits_engine.billing.virtual_collection import dispute
from tests.credits_engine.billing.virtual_sales import CENTS, give_back, sell
from tests.credits_engine.billing.virtual_stripe import START, VirtualStripe
from tests.faults.ledger import assert_whole

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
PRICE = "pack_roast_100"


def left(billing: Billing) -> list[int]:
    return [row["remaining"] for row in billing.rows(PACKS)]


def disputed_pack(stripe: VirtualStripe, sale: Json, status: str) -> None:
    """Send a dispute over the payment of a sale; it knows no customer."""
    invoice = {"id": str(sale["payment_intent"]).removeprefix("pi_"), "total": CENTS}
    dispute(stripe, invoice, status, START)


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_dispute_is_told_by_its_payment_alone_and_refuses_whoever_paid(billing: Billing, generation: str) -> None:
    stripe = VirtualStripe(generation)
    subscription = stripe.checkout("ada", "pro_monthly")
    assert subscription.last_invoice
    stripe.now += HOUR
    dispute(stripe, subscription.last_invoice, "needs_response", stripe.now)
    billing.process(stripe.events, at=stripe.now)
    assert "disputed" in billing.account("ada")["blocked"]
    stripe.now += DAY
    dispute(stripe, subscription.last_invoice, "won", START)
    billing.process(stripe.events, at=stripe.now)
    assert billing.account("ada")["blocked"] is None
    assert set(billing.states().values()) <= {State.APPLIED, State.SUPERSEDED}


def test_a_dispute_that_comes_before_its_payment_waits_for_it(billing: Billing) -> None:
    stripe = VirtualStripe()
    subscription = stripe.checkout("ada", "pro_monthly")
    assert subscription.last_invoice
    dispute(stripe, subscription.last_invoice, "needs_response", START)
    told, asked_back = stripe.events[:-1], stripe.events[-1]
    payment = next(event for event in told if event["type"] == "invoice_payment.paid")
    billing.process([asked_back], at=START)
    assert billing.event(asked_back["id"])["state"] == State.PARKED
    billing.process([payment], at=START)
    billing.process(told, at=START)
    schedule.tidy(START)
    billing.work(at=START)
    assert billing.event(asked_back["id"])["state"] == State.APPLIED
    assert "disputed" in billing.account("ada")["blocked"]


def test_a_dispute_over_something_else_is_parked_where_people_see_it(billing: Billing) -> None:
    stripe = VirtualStripe()
    dispute(stripe, {"id": "in_other", "total": 500}, "needs_response", START)
    billing.process(stripe.events, at=START)
    schedule.tidy(START)
    (event,) = stripe.events
    assert billing.event(event["id"])["waiting_for"] == "payment:pi_in_other"


def test_a_disputed_pack_is_empty_until_the_dispute_is_won(billing: Billing) -> None:
    stripe = VirtualStripe()
    sale = sell(stripe, "ada", PRICE)
    disputed_pack(stripe, sale, "needs_response")
    billing.process(stripe.events, at=START)
    assert left(billing) == [0]
    stripe.now += DAY
    disputed_pack(stripe, sale, "won")
    billing.process(stripe.events, at=stripe.now)
    assert left(billing) == [100]
    (row,) = billing.rows(PACKS)
    assert row["expires_at"] == START + timedelta(days=365)
    give_back(stripe, sale)
    billing.process(stripe.events, at=stripe.now)
    assert left(billing) == [0], "a refund afterwards counts as any other"
    assert_whole(billing.app)


def test_every_order_of_a_sale_its_refund_and_the_refunds_failure_ends_alike(billing: Billing) -> None:
    for number, places in enumerate(permutations(range(3))):
        stripe = VirtualStripe(name=f"n{number}x")
        sale = sell(stripe, f"u{number}", PRICE)
        stripe.now += HOUR
        give_back(stripe, sale)
        stripe.now += HOUR
        refund = {
            "id": f"re_{number}",
            "object": "refund",
            "amount": CENTS,
            "charge": f"ch_{sale['payment_intent']}",
            "payment_intent": sale["payment_intent"],
            "status": "failed",
        }
        stripe._send("refund.failed", refund)
        for place in places:
            billing.process([stripe.events[place]], at=stripe.now)
        schedule.tidy(stripe.now)
        billing.work(at=stripe.now + HOUR)
        (row,) = billing.rows(PACKS, user_id=f"u{number}")
        assert row["remaining"] == 100, places
    assert set(billing.states().values()) == {State.APPLIED}
    assert_whole(billing.app)


def test_keeping_is_a_setting_and_a_lost_dispute_counts_all_the_same(billing: Billing) -> None:
    stripe = VirtualStripe()
    sale = sell(stripe, "ada", PRICE)
    subscription = stripe.checkout("ada", "pro_monthly")
    assert subscription.last_invoice
    SETTINGS.set(billing.app, replace(SETTINGS.get(), stripe_disputes="keep"))
    for status, blocked, rest in (("under_review", False, 100), ("lost", True, 0)):
        stripe.now += HOUR
        disputed_pack(stripe, sale, status)
        dispute(stripe, subscription.last_invoice, status, stripe.now)
        billing.process(stripe.events, at=stripe.now)
        assert (bool(billing.account("ada")["blocked"]), left(billing)) == (blocked, [rest])


@pytest.mark.parametrize("behavior", ["void", "mark_uncollectible"])
def test_the_books_follow_a_pause(billing: Billing, behavior: str) -> None:
    stripe = VirtualStripe()
    subscription = stripe.checkout("ada", "pro_monthly")
    stripe._change(subscription, pause={"behavior": behavior, "resumes_at": seconds(START + 40 * DAY)})
    stripe.pass_time(START + 35 * DAY)
    billing.process(stripe.events, at=stripe.now)
    assert (billing.account("ada")["blocked"] is None) == (behavior == "mark_uncollectible")
