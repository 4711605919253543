"""Invoices, payments and notes of shapes that Stripe allows and few expect: nothing for nothing, no payment lost."""

import copy
from datetime import datetime, timedelta
from itertools import permutations

import pytest

from credits_engine.billing.facts import InvoicePaid
from credits_engine.billing.inbox.worker import StripeLookup
from credits_engine.billing.stripe_api.client import connect
from tests.credits_engine.billing import fake_api
from tests.credits_engine.billing.conftest import Billing
from tests.credits_engine.billing.fake_api import KEY
from tests.credits_engine.billing.stories import facts_of, stands
from tests.credits_engine.billing.stripe_objects import GENERATIONS, Json, Subscription, seconds
from tests.credits_engine.billing.virtual_collection import credit_note, dispute
from tests.credits_engine.billing.virtual_sales import invoices_of, one_off_line
from tests.credits_engine.billing.virtual_stripe import START, VirtualStripe

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


@pytest.fixture(params=GENERATIONS)
def stripe(request: pytest.FixtureRequest) -> VirtualStripe:
    """A Stripe of each generation of its API."""
    return VirtualStripe(request.param)


def plan(stripe: VirtualStripe, moment: datetime | None = None) -> str:
    moment = moment or stripe.now
    found = stands([event for event in stripe.events if event["created"] <= seconds(moment)], moment)
    assert found is not None
    return found.plan.name


def prorated(stripe: VirtualStripe, subscription: Subscription, cents: int) -> Json:
    return {**stripe._objects.line(subscription, start=stripe.now, proration=True), "amount": cents}


def hide_own_line(stripe: VirtualStripe) -> list[Json]:
    """Put so many fees before the line of the subscription that its events don't show it; returns all lines."""
    fees = [one_off_line(stripe, number) for number in range(10)]
    lines = [*fees, *invoices_of(stripe)[0]["lines"]["data"]]
    for invoice in invoices_of(stripe):
        invoice["lines"] |= {"data": fees, "has_more": True}
    return lines


def test_an_invoice_that_hides_its_subscriptions_line_waits_to_be_asked_for(
    billing: Billing, stripe: VirtualStripe
) -> None:
    stripe.checkout("ada", "pro_monthly")
    hide_own_line(stripe)
    billing.process(stripe.events, at=START + MINUTE)
    paid = [each["id"] for each in stripe.events if each["type"] == "invoice.paid"]
    assert {billing.event(each)["waiting_for"] for each in paid} == {"stripe:"}
    assert "more lines" in billing.event(paid[0])["reason"]


def test_an_invoice_that_hides_its_subscriptions_line_is_asked_for(billing: Billing, stripe: VirtualStripe) -> None:
    stripe.checkout("ada", "pro_monthly")
    lines = hide_own_line(stripe)
    with fake_api.serving(stripe) as api:
        api.invoice_lines[invoices_of(stripe)[0]["id"]] = lines
        billing.now = START + MINUTE
        billing.deliver(*stripe.events)
        billing.work(doubts=StripeLookup(connect(KEY, base_url=api.url)))
    assert set(billing.states().values()) <= {"applied"}
    assert billing.user("ada") == ("pro", START)
    assert [start for start, _, name in billing.periods("ada") if name == "pro"] == [START]


def test_an_invoice_that_was_credited_before_it_was_paid_pays_for_nothing(stripe: VirtualStripe) -> None:
    subscription = stripe.checkout("ada", "starter_monthly")
    stripe.pass_time(START + DAY)
    stripe.change_price(subscription, "plus_monthly")
    invoice = subscription.last_invoice
    assert invoice
    note = {
        "id": "cn_1",
        "object": "credit_note",
        "customer": invoice["customer"],
        "invoice": invoice["id"],
        "status": "issued",
        "type": "pre_payment",
        "amount": invoice["total"],
        "pre_payment_amount": invoice["total"],
        "post_payment_amount": 0,
        "refunds": [],
    }
    invoice["amount_paid"] = 0
    stripe._send("credit_note.created", note)
    stripe.now += MINUTE
    stripe._change(subscription, price="starter_monthly")
    assert plan(stripe) == "starter"


def test_a_price_that_was_lowered_before_payment_takes_no_time_away(stripe: VirtualStripe) -> None:
    subscription = stripe.checkout("ada", "pro_yearly")
    assert subscription.last_invoice
    note = {
        "id": "cn_1",
        "object": "credit_note",
        "customer": subscription.customer,
        "invoice": subscription.last_invoice["id"],
        "status": "issued",
        "type": "pre_payment",
        "amount": 1000,
        "pre_payment_amount": 1000,
        "post_payment_amount": 0,
    }
    stripe._send("credit_note.created", note)
    stripe.cancel(subscription)
    assert plan(stripe, subscription.end - MINUTE) == "pro"


@pytest.mark.parametrize("way", ["refund", "note"])
def test_all_that_was_asked_for_after_a_price_was_lowered_is_all_of_it(stripe: VirtualStripe, way: str) -> None:
    subscription = stripe.checkout("ada", "pro_yearly")
    invoice = subscription.last_invoice
    assert invoice
    lowered, asked = 1_900, invoice["total"] - 1_900
    stripe._send(
        "credit_note.created",
        {
            "id": "cn_1",
            "object": "credit_note",
            "customer": subscription.customer,
            "invoice": invoice["id"],
            "status": "issued",
            "type": "pre_payment",
            "amount": lowered,
            "pre_payment_amount": lowered,
            "post_payment_amount": 0,
        },
    )
    for each in invoices_of(stripe):
        each["amount_paid"] = asked
    stripe.now += DAY
    if way == "refund":
        charge = stripe._objects.refunded_charge(subscription, invoice, 1.0)
        stripe._send("charge.refunded", {**charge, "amount": asked, "amount_refunded": asked})
    else:
        credit_note(stripe, invoice, asked)
    stripe.cancel(subscription, at_once=True)
    assert plan(stripe, START + 2 * DAY) == "free"


def test_half_of_an_invoice_that_two_payments_settled_is_half_of_it(stripe: VirtualStripe) -> None:
    subscription = stripe.checkout("ada", "pro_yearly")
    assert subscription.last_invoice
    whole = subscription.last_invoice["total"]
    charge = stripe._objects.refunded_charge(subscription, subscription.last_invoice, 1.0)
    stripe.now += DAY
    stripe._send("charge.refunded", {**charge, "amount": whole // 2, "amount_refunded": whole // 2})
    stripe.cancel(subscription, at_once=True)
    assert plan(stripe, START + 150 * DAY) == "pro"
    assert plan(stripe, START + 200 * DAY) == "free"


@pytest.mark.parametrize("is_waiting", [False, True])
def test_fewer_seats_are_still_the_plan(stripe: VirtualStripe, is_waiting: bool) -> None:
    subscription = stripe.checkout("ada", "pro_monthly")
    stripe.pass_time(START + DAY)
    lines = [prorated(stripe, subscription, -8000), prorated(stripe, subscription, 2600)]
    if is_waiting:
        for number, line in enumerate(lines):
            details = {"type": "subscription_details", "subscription_details": {"subscription": subscription.id}}
            item = {**line, "id": f"ii_{number}", "object": "invoiceitem", "customer": subscription.customer}
            stripe._send("invoiceitem.created", {**item, "proration": True, "parent": details})
    else:
        stripe._settle(subscription, stripe._objects.invoice(subscription, "subscription_update", lines))
    stripe.now += MINUTE
    stripe.cancel(subscription, at_once=True)
    assert plan(stripe, START + 20 * DAY) == "pro"


def test_the_tiers_of_a_price_are_one_purchase(stripe: VirtualStripe) -> None:
    """Five for nothing with a flat fee, and three more: Stripe writes a line for each, the fee has no quantity."""
    stripe.checkout("ada", "pro_monthly")
    invoice = next(each for each in stripe.events if each["type"] == "invoice.paid")
    (line,) = invoice["data"]["object"]["lines"]["data"]
    tiers = [(5, 0), (0, 4_900), (3, 3_000), (0, 0)]
    invoice["data"]["object"]["lines"]["data"] = [
        {**line, "id": f"il_{number}", "quantity": quantity, "amount": amount}
        for number, (quantity, amount) in enumerate(tiers)
    ]
    (paid,) = facts_of([invoice])
    assert isinstance(paid, InvoicePaid)
    assert [(each.quantity, each.amount) for each in paid.lines] == [(8, 7_900)]


def test_a_quantity_of_nothing_buys_nothing(billing: Billing, stripe: VirtualStripe) -> None:
    stripe.checkout("ada", "plus_monthly")
    told = [each for each in stripe.events if not each["type"].startswith("invoice")]
    for event in told:
        for item in event["data"]["object"].get("items", {}).get("data", ()):
            item["quantity"] = 0
    billing.process(told, at=START + MINUTE)
    assert billing.user("ada")[0] == "free"
    assert set(billing.states().values()) <= {"applied", "superseded"}


def test_what_is_invoiced_and_never_paid_ends_with_the_subscription(stripe: VirtualStripe) -> None:
    subscription = stripe.open("cus_ada", "plus_yearly", metadata={"user_id": "ada"})
    told = [each for each in stripe.events if not each["type"].startswith("invoice")]
    stripe.events[:] = told
    stripe.now += HOUR
    stripe.cancel(subscription, at_once=True)
    for event in stripe.events:
        event["data"]["object"]["collection_method"] = "send_invoice"
    assert plan(stripe, START + MINUTE) == "plus", "it is to be paid later"
    assert plan(stripe, START + 2 * HOUR) == "free"


def test_what_is_invoiced_and_paid_stays_after_the_subscription(stripe: VirtualStripe) -> None:
    subscription = stripe.open("cus_ada", "plus_yearly", metadata={"user_id": "ada"})
    stripe.now += HOUR
    stripe.cancel(subscription, at_once=True)
    for event in stripe.events:
        event["data"]["object"]["collection_method"] = "send_invoice"
    assert plan(stripe, START + 300 * DAY) == "plus"


def test_a_payment_that_is_known_by_its_charge_alone_is_given_back(billing: Billing) -> None:
    stripe = VirtualStripe()
    subscription = stripe.checkout("ada", "pro_yearly")
    invoice = subscription.last_invoice
    assert invoice
    for event in stripe.events:
        if event["type"] == "invoice_payment.paid":
            event["data"]["object"]["payment"] = {"type": "charge", "charge": "ch_1"}
    charge = stripe._objects.refunded_charge(subscription, invoice, 1.0)
    stripe.now += HOUR
    stripe._send("charge.refunded", {**charge, "id": "ch_1", "payment_intent": None})
    stripe.now += HOUR
    stripe.cancel(subscription, at_once=True)
    for number, places in enumerate(permutations(range(2))):
        told = copy.deepcopy(stripe.events)
        billing.process(told if number == 0 else [told[place - 2] for place in places], at=stripe.now + MINUTE)
    assert billing.user("ada")[0] == "free"


def test_a_dispute_that_is_won_after_the_end_gives_the_rest_of_the_time_back(stripe: VirtualStripe) -> None:
    subscription = stripe.checkout("ada", "pro_yearly")
    assert subscription.last_invoice
    stripe.now += DAY
    opened = stripe.now
    dispute(stripe, subscription.last_invoice, "needs_response", opened)
    stripe.now += DAY
    stripe.cancel(subscription, at_once=True)
    before = stands(stripe.events, stripe.now + HOUR)
    assert before
    assert before.blocked
    stripe.now += 40 * DAY
    dispute(stripe, subscription.last_invoice, "won", opened)
    after = stands(list(reversed(stripe.events)), stripe.now + HOUR)
    assert after
    assert (after.plan.name, after.blocked) == ("pro", None)
    stripe.now += DAY
    dispute(stripe, subscription.last_invoice, "lost", opened)
    assert plan(stripe, stripe.now + HOUR) == "free"


def test_a_credit_note_for_last_month_takes_nothing_from_this_one(stripe: VirtualStripe) -> None:
    subscription = stripe.checkout("ada", "pro_monthly")
    first = subscription.last_invoice
    assert first
    stripe.pass_time(subscription.end + 2 * DAY)
    note = {"id": "cn_1", "object": "credit_note", "customer": first["customer"], "invoice": first["id"]}
    stripe._send("credit_note.created", {**note, "status": "issued", "type": "post_payment", "amount": first["total"]})
    stripe.cancel(subscription)
    assert plan(stripe, subscription.end - MINUTE) == "pro"
    assert plan(stripe, subscription.end + MINUTE) == "free"
