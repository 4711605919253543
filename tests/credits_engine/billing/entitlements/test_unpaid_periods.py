"""A period that nobody paid: no other plan is had by changing to it, and what is credited of it pays for nothing."""

from datetime import datetime, timedelta

import pytest

from tests.credits_engine.billing.stories import stands
from tests.credits_engine.billing.stripe_objects import GENERATIONS, seconds
from tests.credits_engine.billing.virtual_collection import dispute, give_up
from tests.credits_engine.billing.virtual_stripe import HOUR, START, VirtualStripe

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
SECOND_MONTH, THIRD_MONTH = START.replace(month=12), START.replace(year=START.year + 1, month=1)


@pytest.fixture(params=GENERATIONS)
def stripe(request: pytest.FixtureRequest) -> VirtualStripe:
    """A Stripe of each generation of its API."""
    return VirtualStripe(request.param)


def granted(stripe: VirtualStripe, moment: datetime) -> str:
    """Return the plan, or that it is refused, by all that Stripe had told by then."""
    found = stands([event for event in stripe.events if event["created"] <= seconds(moment)], moment)
    assert found is not None
    return "refused" if found.blocked else found.plan.name


@pytest.mark.parametrize("price", ["plus_monthly", "starter_monthly"])
@pytest.mark.parametrize("kind", ["voided", "marked_uncollectible"])
def test_another_plan_is_not_had_for_nothing_in_a_period_that_nobody_paid(
    stripe: VirtualStripe, price: str, kind: str
) -> None:
    subscription = stripe.checkout("ada", "pro_monthly")
    subscription.card_works = False
    stripe.pass_time(SECOND_MONTH + DAY)
    give_up(stripe, subscription, kind)
    stripe.now += MINUTE
    stripe._change(subscription, price=price)
    assert granted(stripe, stripe.now) == "refused"
    subscription.card_works = True
    stripe.pass_time(THIRD_MONTH + DAY)
    assert granted(stripe, stripe.now) == price.removesuffix("_monthly")


def test_what_was_never_paid_is_credited_for_nothing(stripe: VirtualStripe) -> None:
    """A sixth seat in the days of grace: Stripe credits five that nobody paid, and calls the subscription active."""
    subscription = stripe.checkout("ada", "pro_yearly")
    subscription.card_works = False
    stripe.pass_time(subscription.end + DAY)
    renewal, line = subscription.open_invoice, stripe._objects.line(subscription, start=stripe.now, proration=True)
    lines = [{**line, "amount": -25_000}, {**line, "amount": 30_000}]
    stripe._settle(subscription, stripe._objects.invoice(subscription, "subscription_update", lines))
    stripe._change(subscription, status="active")
    a_sixth = (subscription.end - stripe.now) / 6
    bought_at, subscription.open_invoice = stripe.now, renewal
    assert granted(stripe, bought_at + a_sixth - DAY) == "pro"
    assert granted(stripe, bought_at + a_sixth + DAY) == "refused"
    stripe.now += 30 * DAY
    stripe.pay_open_invoice(subscription)
    stripe.cancel(subscription, at_once=True)
    assert granted(stripe, subscription.end - DAY) == "pro", "now all of it is paid"


def test_what_was_paid_for_an_upgrade_is_credited_though_the_period_was_not_paid(stripe: VirtualStripe) -> None:
    subscription = stripe.checkout("ada", "starter_yearly")
    subscription.card_works = False
    stripe.pass_time(subscription.end + DAY)
    for price, credit, charge in (("plus_yearly", 10_000, 110_000), ("pro_yearly", 110_000, 32_000)):
        before = stripe._objects.line(subscription, start=stripe.now, proration=True)
        stripe._change(subscription, price=price)
        after = stripe._objects.line(subscription, start=stripe.now, proration=True)
        lines = [{**before, "amount": -credit}, {**after, "amount": charge}]
        stripe._settle(subscription, stripe._objects.invoice(subscription, "subscription_update", lines))
        stripe.now += HOUR
    stripe.cancel(subscription, at_once=True)
    assert granted(stripe, stripe.now + 200 * DAY) == "pro"


def test_a_payment_that_was_lost_pays_for_no_other_plan_either(stripe: VirtualStripe) -> None:
    subscription = stripe.checkout("ada", "pro_monthly")
    stripe.pass_time(START + DAY)
    assert subscription.last_invoice
    dispute(stripe, subscription.last_invoice, "lost", stripe.now)
    stripe.now += MINUTE
    stripe._change(subscription, price="plus_monthly")
    assert granted(stripe, stripe.now) == "refused"


def test_an_invoice_that_was_written_anew_refuses_no_upgrade(stripe: VirtualStripe) -> None:
    """As with a revision: the first is voided, and the second one paid."""
    subscription = stripe.checkout("ada", "pro_monthly")
    subscription.card_works = False
    stripe.pass_time(SECOND_MONTH + DAY)
    give_up(stripe, subscription)
    subscription.card_works = True
    stripe._bill(subscription, "subscription_cycle")
    stripe.now += MINUTE
    stripe._change(subscription, price="plus_monthly")
    assert granted(stripe, stripe.now) == "plus"


def test_an_upgrade_that_was_refunded_leaves_the_year_that_it_was_paid_with(stripe: VirtualStripe) -> None:
    subscription = stripe.checkout("ada", "starter_yearly")
    stripe.pass_time(START + 30 * DAY)
    credit = {**stripe._objects.line(subscription, start=stripe.now, proration=True), "amount": -9_900}
    stripe._change(subscription, price="plus_yearly")
    charge = {**stripe._objects.line(subscription, start=stripe.now, proration=True), "amount": 109_900}
    stripe._settle(subscription, stripe._objects.invoice(subscription, "subscription_update", [credit, charge]))
    stripe.now += DAY
    stripe.refund(subscription)
    stripe._change(subscription, price="starter_yearly")
    stripe.now += 60 * DAY
    stripe.cancel(subscription)
    assert granted(stripe, START + 300 * DAY) == "starter"
