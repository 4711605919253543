"""Which plan is paid for: what nobody paid grants nothing for long, and what was given back ends."""

import copy
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from credits_engine.billing.entitlements.changes import Entitlement, plan_within
from credits_engine.billing.entitlements.history import histories
from credits_engine.billing.facts import InvoicePaid
from credits_engine.billing.stripe_api import events
from credits_engine.engines.periods import Period
from credits_engine.engines.plans import CATALOGUE
from tests.credits_engine.billing.conftest import Billing
from tests.credits_engine.billing.stories import facts_of, stands
from tests.credits_engine.billing.stripe_objects import GENERATIONS, OLD_GENERATIONS, Json, seconds
from tests.credits_engine.billing.virtual_stripe import START, VirtualStripe

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


@pytest.fixture(params=GENERATIONS)
def stripe(request: pytest.FixtureRequest) -> VirtualStripe:
    """A Stripe of each generation of its API."""
    return VirtualStripe(request.param)


def at(stripe: VirtualStripe, moment: datetime) -> Entitlement:
    found = stands([event for event in stripe.events if event["created"] <= seconds(moment)], moment)
    assert found is not None
    return found


def plan(stripe: VirtualStripe) -> str:
    """Return the plan, which is the one of the limits as well where the change is not before the next period."""
    found = at(stripe, stripe.now)
    within = plan_within(Period(START, START + 30 * DAY), histories(facts_of(stripe.events)), CATALOGUE, stripe.now)
    assert within is None or not found.is_live or within.name == found.plan.name or stripe.now > START + 30 * DAY
    return found.plan.name


def one_off(generation: str, subscription: str, moment: datetime, **changes: Any) -> Json:
    """Return a setup fee: its period begins and ends in the same second."""
    instant = seconds(moment)
    line: Json = {"id": "il_once", "object": "line_item", "amount": 4900, "period": {"start": instant, "end": instant}}
    if generation in OLD_GENERATIONS:
        line |= {"type": "invoiceitem", "proration": False, "price": {"id": "price_setup", "object": "price"}}
    else:
        details = {"invoice_item": "ii_1", "proration": False, "subscription": subscription}
        line |= {"parent": {"type": "invoice_item_details", "invoice_item_details": details}}
    return line | changes


WITHOUT_SPAN: dict[str, Callable[[Json], object]] = {
    "of no length": lambda line: line,
    "reversed": lambda line: line["period"].update(end=line["period"]["start"] - 60),
    "null": lambda line: line.update(period=None),
    "missing": lambda line: line.pop("period"),
    "without an end": lambda line: line["period"].update(end=None),
    "of a year": lambda line: line["period"].update(end=line["period"]["start"] + 365 * 86_400),
}


@pytest.mark.parametrize("shape", WITHOUT_SPAN)
@pytest.mark.parametrize("first", [True, False])
def test_a_line_that_is_paid_once_hides_no_period(stripe: VirtualStripe, shape: str, first: bool) -> None:
    subscription = stripe.checkout("ada", "pro_monthly")
    event = copy.deepcopy(next(each for each in stripe.events if each["type"] == "invoice.paid"))
    fee = one_off(event["api_version"], subscription.id, START)
    WITHOUT_SPAN[shape](fee)
    event["data"]["object"]["lines"]["data"].insert(0 if first else 9, fee)
    (paid,) = events.facts(event)
    assert isinstance(paid, InvoicePaid)
    assert paid.period == Period(subscription.start, subscription.end)


def test_an_invoice_of_one_off_lines_alone_pays_for_no_period(stripe: VirtualStripe) -> None:
    subscription = stripe.checkout("ada", "pro_monthly")
    event = copy.deepcopy(next(each for each in stripe.events if each["type"] == "invoice.paid"))
    event["data"]["object"]["lines"]["data"] = [one_off(event["api_version"], subscription.id, START)]
    (paid,) = events.facts(event)
    assert isinstance(paid, InvoicePaid)
    assert paid.period is None


def test_lines_of_another_subscription_count_for_nothing(stripe: VirtualStripe) -> None:
    subscription = stripe.checkout("ada", "pro_monthly")
    event = copy.deepcopy(next(each for each in stripe.events if each["type"] == "invoice.paid"))
    (own,) = event["data"]["object"]["lines"]["data"]
    other = copy.deepcopy(own)
    other["period"] = {name: value + 5 * 86_400 for name, value in own["period"].items()}
    if event["api_version"] in OLD_GENERATIONS:
        other["subscription"] = "sub_other"
    else:
        other["parent"]["subscription_item_details"]["subscription"] = "sub_other"
    event["data"]["object"]["lines"]["data"] = [other, own]
    (paid,) = events.facts(event)
    assert isinstance(paid, InvoicePaid)
    assert paid.period == Period(subscription.start, subscription.end)


@pytest.mark.parametrize("price", ["monthly", "yearly"])
def test_an_upgrade_that_is_taken_back_without_an_invoice_is_over(stripe: VirtualStripe, price: str) -> None:
    subscription = stripe.checkout("ada", f"starter_{price}")
    stripe.pass_time(START + DAY)
    stripe._change(subscription, price=f"plus_{price}")
    assert plan(stripe) == "plus", "an upgrade counts at once"
    stripe.now += MINUTE
    stripe._change(subscription, price=f"starter_{price}")
    assert plan(stripe) == "starter"


@pytest.mark.parametrize("end", ["invoice.voided", "invoice.marked_uncollectible", None])
@pytest.mark.parametrize("price", ["monthly", "yearly"])
def test_an_upgrade_whose_payment_failed_ends_with_it(stripe: VirtualStripe, price: str, end: str | None) -> None:
    subscription = stripe.checkout("ada", f"starter_{price}")
    stripe.pass_time(START + DAY)
    subscription.card_works = False
    stripe.change_price(subscription, f"plus_{price}")
    stripe._change(subscription, status="past_due")
    assert plan(stripe) == "plus"
    stripe.now += 2 * MINUTE
    stripe._change(subscription, price=f"starter_{price}", status="active")
    if end:
        stripe._send(end, {**(subscription.open_invoice or {}), "status": end.rpartition(".")[2]})
    assert plan(stripe) == "starter"


def test_an_upgrade_with_a_new_anchor_that_nobody_paid_ends_with_it(stripe: VirtualStripe) -> None:
    subscription = stripe.checkout("ada", "starter_monthly")
    stripe.pass_time(START + DAY)
    subscription.card_works = False
    stripe.change_price(subscription, "plus_monthly", move_anchor=True)
    stripe.now += MINUTE
    stripe._change(subscription, price="starter_monthly")
    stripe._send("invoice.voided", {**(subscription.open_invoice or {}), "status": "void"})
    assert at(stripe, stripe.now).plan.name == "starter"


def test_what_was_paid_stays_after_a_downgrade(stripe: VirtualStripe) -> None:
    subscription = stripe.checkout("ada", "starter_monthly")
    stripe.pass_time(START + DAY)
    stripe.change_price(subscription, "plus_monthly")
    stripe.pass_time(START + 2 * DAY)
    stripe._change(subscription, price="starter_monthly")
    assert plan(stripe) == "plus"
    stripe.refund(subscription)
    assert plan(stripe) == "starter"


def test_what_was_credited_again_does_not_stay(stripe: VirtualStripe) -> None:
    """Each change is invoiced at once: the way back credits what the way there cost."""
    subscription = stripe.checkout("ada", "starter_monthly")
    stripe.pass_time(START + DAY)
    stripe.change_price(subscription, "plus_monthly")
    stripe.now += MINUTE
    credit = {**stripe._objects.line(subscription, start=stripe.now, proration=True), "amount": -3300}
    stripe._change(subscription, price="starter_monthly")
    charge = stripe._objects.line(subscription, start=stripe.now, proration=True)
    stripe._settle(subscription, stripe._objects.invoice(subscription, "subscription_update", [credit, charge]))
    assert plan(stripe) == "starter"


def test_a_plan_is_held_when_only_its_quantity_was_changed(stripe: VirtualStripe) -> None:
    subscription = stripe.checkout("ada", "pro_monthly")
    stripe.pass_time(START + DAY)
    line = stripe._objects.line(subscription, start=stripe.now, proration=True)
    lines = [{**line, "amount": -900}, {**line, "amount": 1800}]
    stripe._settle(subscription, stripe._objects.invoice(subscription, "subscription_update", lines))
    stripe._change(subscription, price="starter_monthly")
    assert plan(stripe) == "pro"


def test_an_upgrade_within_a_trial_that_is_taken_back_is_over(stripe: VirtualStripe) -> None:
    subscription = stripe.try_out("ada", "pro_monthly")
    stripe.pass_time(START + DAY)
    stripe._change(subscription, price="plus_monthly")
    assert plan(stripe) == "plus"
    stripe.now += MINUTE
    stripe._change(subscription, price="pro_monthly")
    assert plan(stripe) == "pro"


def test_a_year_ends_where_the_refund_of_the_rest_leaves_it(stripe: VirtualStripe) -> None:
    subscription = stripe.checkout("ada", "pro_yearly")
    stripe.pass_time(START + 30 * DAY)
    stripe.refund(subscription, 335 / 365)
    assert plan(stripe) == "pro", "a refund alone ends nothing"
    stripe.now += MINUTE
    stripe.cancel(subscription, at_once=True)
    assert at(stripe, stripe.now + MINUTE).plan.name == "free"


def test_a_refund_of_less_than_the_rest_leaves_what_is_paid_for(stripe: VirtualStripe) -> None:
    subscription = stripe.checkout("ada", "pro_yearly")
    stripe.pass_time(START + 30 * DAY)
    stripe.cancel(subscription, at_once=True)
    assert at(stripe, START + 300 * DAY).plan.name == "pro", "nothing was given back"
    stripe.refund(subscription, 265 / 365)
    assert at(stripe, START + 98 * DAY).plan.name == "pro"
    assert at(stripe, START + 101 * DAY).plan.name == "free"


def test_goodwill_takes_nothing_from_whoever_stays(stripe: VirtualStripe) -> None:
    subscription = stripe.checkout("ada", "pro_yearly")
    stripe.pass_time(START + 30 * DAY)
    stripe.refund(subscription, 0.9)
    assert at(stripe, START + 300 * DAY).plan.name == "pro"


def test_an_upgrade_that_nobody_paid_is_not_kept_by_cancelling(stripe: VirtualStripe) -> None:
    subscription = stripe.checkout("ada", "starter_monthly")
    stripe.pass_time(START + DAY)
    subscription.card_works = False
    stripe.change_price(subscription, "plus_monthly")
    stripe.cancel(subscription, at_once=True)
    assert plan(stripe) == "starter"


def test_a_renewal_that_nobody_paid_is_not_kept_by_voiding_it(stripe: VirtualStripe) -> None:
    subscription = stripe.checkout("ada", "pro_monthly")
    subscription.card_works = False
    stripe.pass_time(subscription.end + DAY)
    stripe._send("invoice.voided", {**(subscription.open_invoice or {}), "status": "void"})
    stripe.cancel(subscription, at_once=True)
    assert at(stripe, stripe.now + MINUTE).plan.name == "free"


def credit_note(stripe: VirtualStripe, invoice: Json, **changes: Any) -> None:
    note = {
        "id": "cn_1",
        "object": "credit_note",
        "customer": invoice["customer"],
        "invoice": invoice["id"],
        "status": "issued",
        "type": "post_payment",
        "amount": invoice["total"],
        "refunds": [],
    }
    stripe._send("credit_note.created", note | changes)


@pytest.mark.parametrize(
    ("changes", "left"),
    [
        ({}, "free"),
        ({"post_payment_amount": 0, "pre_payment_amount": 2900}, "pro"),
        ({"type": "pre_payment"}, "pro"),
        ({"refunds": [{"refund": "re_1", "amount_refunded": 2900}]}, "pro"),
        ({"status": "void"}, "pro"),
    ],
)
def test_a_credit_note_gives_back_what_no_refund_does(stripe: VirtualStripe, changes: Json, left: str) -> None:
    subscription = stripe.checkout("ada", "pro_yearly")
    assert subscription.last_invoice
    stripe.pass_time(START + 30 * DAY)
    credit_note(stripe, subscription.last_invoice, **changes)
    stripe.cancel(subscription, at_once=True)
    assert at(stripe, stripe.now + MINUTE).plan.name == left


@pytest.mark.parametrize("generation", GENERATIONS)
def test_the_books_follow(billing: Billing, generation: str) -> None:
    """A setup fee opens the period; an upgrade that fails and is voided lowers the limits again at once."""
    stripe = VirtualStripe(generation)
    subscription = stripe.checkout("ada", "starter_monthly")
    for event in stripe.events:
        if event["type"] in ("invoice.paid", "invoice.payment_succeeded"):
            event["data"]["object"]["lines"]["data"].append(one_off(generation, subscription.id, START))
    billing.process(stripe.events, at=START + MINUTE)
    assert set(billing.states().values()) <= {"applied"}
    told_before = len(stripe.events)
    stripe.pass_time(START + DAY)
    subscription.card_works = False
    stripe.change_price(subscription, "plus_monthly")
    billing.process(stripe.events[told_before:], at=stripe.now)
    assert [name for *_, name in billing.periods("ada")][-1] == "plus"
    told_before = len(stripe.events)
    stripe.now += MINUTE
    stripe._change(subscription, price="starter_monthly")
    stripe._send("invoice.voided", {**(subscription.open_invoice or {}), "status": "void"})
    billing.process(stripe.events[told_before:], at=stripe.now)
    assert billing.user("ada")[0] == "starter"
    assert [name for *_, name in billing.periods("ada")][-1] == "starter"
