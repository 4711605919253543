"""Packs that are sold by a line of an invoice: granted once however often told, and given back with the money."""

from datetime import timedelta
from itertools import permutations

import pytest

from control_plane import migrations
from control_plane.platform.db.database import transaction
from credits_engine.billing.inbox import commands
from credits_engine.billing.inbox.worker import StripeLookup
from credits_engine.billing.models import FACTS
from credits_engine.billing.stripe_api.client import connect
from credits_engine.store.tables import PACKS
from tests.credits_engine.billing import fake_api
from tests.credits_engine.billing.conftest import Billing
from tests.credits_engine.billing.fake_api import KEY
from tests.credits_engine.billing.stripe_objects import GENERATIONS, OLD_GENERATIONS
from tests.credits_engine.billing.virtual_collection import credit_note
from tests.credits_engine.billing.virtual_sales import invoices_of, one_off_line, sell
from tests.credits_engine.billing.virtual_stripe import START, VirtualStripe
from tests.faults.ledger import assert_whole

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
PACK = "pack_roast_100"


@pytest.fixture(params=GENERATIONS)
def stripe(request: pytest.FixtureRequest) -> VirtualStripe:
    """A Stripe of each generation of its API."""
    return VirtualStripe(request.param)


def add_pack(stripe: VirtualStripe, price: str, quantity: int) -> None:
    invoice = invoices_of(stripe)[0]  # both of its events hold the same one
    invoice["lines"]["data"].append(one_off_line(stripe, 1, price, quantity=quantity))


def packs(billing: Billing) -> list[tuple[str, int]]:
    return [(row["kind"], row["amount"]) for row in billing.rows(PACKS)]


@pytest.mark.parametrize("generation", OLD_GENERATIONS)
def test_a_pack_that_is_bought_with_a_plan_is_granted_once(billing: Billing, generation: str) -> None:
    stripe = VirtualStripe(generation)
    subscription = stripe.checkout("ada", "pro_monthly")
    add_pack(stripe, PACK, 3)
    billing.process(stripe.events, at=START + MINUTE)
    billing.process([{**each, "id": f"again_{each['id']}"} for each in reversed(stripe.events)], at=START + HOUR)
    assert packs(billing) == [("roast", 300)]
    stripe.now += DAY
    stripe.refund(subscription)
    billing.process(stripe.events[-1:], at=stripe.now)
    (row,) = billing.rows(PACKS)
    assert row["remaining"] == 0
    assert_whole(billing.app)


@pytest.mark.parametrize(("cents", "left"), [(500, 50), (1_000, 0)])
def test_a_credit_note_takes_its_share_until_it_is_void(
    billing: Billing, stripe: VirtualStripe, cents: int, left: int
) -> None:
    invoice = {
        "id": "in_pack",
        "object": "invoice",
        "customer": "cus_ada",
        "total": 1_000,
        "amount_paid": 1_000,
        "lines": {"object": "list", "data": [one_off_line(stripe, 1, PACK)], "has_more": False},
    }
    stripe.checkout("ada", "pro_monthly")
    stripe._send("invoice.paid", invoice)
    stripe.now += HOUR
    credit_note(stripe, invoice, cents)
    billing.process(stripe.events, at=START + HOUR)
    assert [row["remaining"] for row in billing.rows(PACKS)] == [left]
    stripe.now += HOUR
    stripe._send("credit_note.voided", {**stripe.events[-1]["data"]["object"], "status": "void"})
    billing.process(stripe.events[-1:], at=START + 2 * HOUR)
    assert [row["remaining"] for row in billing.rows(PACKS)] == [100]
    assert_whole(billing.app)


def test_a_line_that_sells_no_pack_grants_nothing_and_waits_for_nothing(
    billing: Billing, stripe: VirtualStripe
) -> None:
    stripe.checkout("ada", "pro_monthly")
    add_pack(stripe, "setup_fee", 1)
    billing.process(stripe.events, at=START + MINUTE)
    assert packs(billing) == []
    assert set(billing.states().values()) <= {"applied", "superseded"}


@pytest.mark.parametrize("first", ["invoice", "checkout"])
def test_a_checkout_and_its_invoice_sell_one_pack(billing: Billing, first: str) -> None:
    stripe = VirtualStripe(OLD_GENERATIONS[-1])
    sale = sell(stripe, "ada", PACK, customer="cus_ada")
    sale["invoice"] = "in_1"
    link = {"id": "cus_ada", "object": "customer", "metadata": {"user_id": "ada"}}
    stripe._send("customer.created", link)
    invoice = {
        "id": "in_1",
        "object": "invoice",
        "customer": "cus_ada",
        "total": 500,
        "billing_reason": "manual",
        "payment_intent": sale["payment_intent"],
        "lines": {"data": [one_off_line(stripe, 1, PACK)], "has_more": False},
    }
    stripe._send("invoice.paid", invoice)
    told = [stripe.events[1], stripe.events[0], stripe.events[2]]
    if first == "invoice":
        told = [stripe.events[1], stripe.events[2], stripe.events[0]]
    for event in told:
        billing.process([event], at=START + MINUTE)
    assert packs(billing) == [("roast", 100)]
    assert set(billing.states().values()) == {"applied"}


@pytest.mark.parametrize("shown", [PACK, "setup_fee"])
def test_packs_that_an_invoice_of_no_subscription_hides_are_asked_for(billing: Billing, shown: str) -> None:
    """Its event shows ten lines at most; which of them sells a pack is anybody's guess."""
    stripe = VirtualStripe(OLD_GENERATIONS[-1])
    stripe._send("customer.created", {"id": "cus_ada", "object": "customer", "metadata": {"user_id": "ada"}})
    lines = [one_off_line(stripe, 1, shown), one_off_line(stripe, 2, PACK)]
    invoice = {"id": "in_1", "object": "invoice", "customer": "cus_ada", "total": 1000, "billing_reason": "manual"}
    stripe._send("invoice.paid", invoice | {"lines": {"data": lines[:1], "has_more": True}})
    with fake_api.serving(stripe) as api:
        billing.now = START + MINUTE
        billing.deliver(*stripe.events)
        billing.work()
        assert billing.event(stripe.events[-1]["id"])["waiting_for"] == "stripe:"
        assert packs(billing) == []
        api.invoice_lines["in_1"] = lines
        with transaction() as session:
            commands.replay(session, stripe.events[-1]["id"], now=billing.now, actor="test", reason="A key.")
        billing.work(doubts=StripeLookup(connect(KEY, base_url=api.url)))
    assert packs(billing) == [("roast", 100)] * (2 if shown == PACK else 1)


@pytest.fixture
def disputed() -> VirtualStripe:
    """A pack by an invoice of no subscription, whose payment is named beside it and disputed."""
    stripe = VirtualStripe()
    stripe._send("customer.created", {"id": "cus_ada", "object": "customer", "metadata": {"user_id": "ada"}})
    lines = {"data": [one_off_line(stripe, 1, PACK)], "has_more": False}
    invoice = {"id": "in_1", "object": "invoice", "customer": "cus_ada", "total": 500}
    stripe._send("invoice.paid", {**invoice, "lines": lines})
    payment = {"type": "payment_intent", "payment_intent": "pi_1"}
    settled = {"id": "inpay_1", "object": "invoice_payment", "invoice": "in_1", "status": "paid"}
    stripe._send("invoice_payment.paid", {**settled, "payment": payment})
    dispute = {"id": "dp_1", "object": "dispute", "charge": "ch_1", "amount": 500, "status": "needs_response"}
    stripe._send("charge.dispute.created", {**dispute, "payment_intent": "pi_1"})
    return stripe


@pytest.mark.parametrize("order", list(permutations((1, 2, 3))))
def test_a_dispute_finds_the_pack_of_an_invoice_in_whatever_order_it_is_told(
    billing: Billing, disputed: VirtualStripe, order: tuple[int, ...]
) -> None:
    for place in (0, *order):
        billing.process([disputed.events[place]], at=START + MINUTE)
    assert [row["remaining"] for row in billing.rows(PACKS)] == [0]
    assert set(billing.states().values()) == {"applied"}


def test_a_dispute_finds_the_pack_of_an_invoice_that_an_older_version_stored(
    billing: Billing, disputed: VirtualStripe
) -> None:
    billing.process(disputed.events[:3], at=START + MINUTE)
    migrations.downgrade("0065")
    assert {row["payment_intent"] for row in billing.rows(FACTS) if row["kind"] == "PackPaid"} == {None}
    migrations.upgrade()
    billing.process(disputed.events[3:], at=START + HOUR)
    assert [row["remaining"] for row in billing.rows(PACKS)] == [0]
