"""Invoices that stay drafts: nobody pays them, and Stripe calls their subscription active all the same."""

from datetime import datetime, timedelta

import pytest

from credits_engine.engines.credit_plan import GRACE
from tests.credits_engine.billing.conftest import Billing
from tests.credits_engine.billing.stories import stands
from tests.credits_engine.billing.stripe_objects import GENERATIONS, Json, Subscription
from tests.credits_engine.billing.virtual_sales import one_off_line
from tests.credits_engine.billing.virtual_stripe import START, VirtualStripe

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)


@pytest.fixture(params=GENERATIONS)
def stripe(request: pytest.FixtureRequest) -> VirtualStripe:
    """A Stripe of each generation of its API."""
    return VirtualStripe(request.param)


def granted(stripe: VirtualStripe, moment: datetime) -> str:
    """Return the plan, or that it is refused, by all that Stripe has told so far."""
    found = stands(stripe.events, moment)
    assert found is not None
    return "refused" if found.blocked else found.plan.name


def draft_of(stripe: VirtualStripe, subscription: Subscription) -> Json:
    """Return the invoice of the running period before it is finalized."""
    invoice = stripe._invoice(subscription, "subscription_cycle", proration=False, move_anchor=False)
    return {**invoice, "status": "draft"}


@pytest.mark.parametrize("price", ["pro_monthly", "pro_yearly"])
def test_whoever_leaves_before_the_renewal_is_collected_has_not_bought_it(stripe: VirtualStripe, price: str) -> None:
    subscription = stripe.checkout("ada", price)
    begun = stripe.begin_period(subscription)
    stripe.now += 30 * MINUTE
    assert granted(stripe, stripe.now) == "pro", "its payment is to be expected"
    stripe.cancel(subscription, at_once=True)
    assert granted(stripe, stripe.now + MINUTE) == "free"
    stripe._settle(subscription, draft_of(stripe, subscription))
    assert granted(stripe, begun + 20 * DAY) == "pro", "it was paid after all"


def test_whoever_leaves_before_the_end_of_a_trial_is_collected_has_not_bought_what_follows(
    stripe: VirtualStripe,
) -> None:
    subscription = stripe.try_out("ada", "pro_yearly")
    stripe.begin_period(subscription)
    stripe.now += 30 * MINUTE
    assert granted(stripe, stripe.now) == "pro"
    stripe.cancel(subscription, at_once=True)
    assert granted(stripe, stripe.now + MINUTE) == "free"


@pytest.mark.parametrize("fee", [0, 4_900])
def test_the_invoice_of_a_trial_pays_for_no_day_after_it_was_left(stripe: VirtualStripe, fee: int) -> None:
    """Stripe sends one over nothing, or over a setup fee alone."""
    subscription = stripe.try_out("ada", "pro_monthly")
    lines = [{**stripe._objects.line(subscription, start=START, proration=False), "amount": 0}]
    lines += [one_off_line(stripe, 1, amount=fee)] if fee else []
    stripe._settle(subscription, stripe._objects.invoice(subscription, "subscription_create", lines))
    stripe.now += DAY
    assert granted(stripe, stripe.now) == "pro"
    stripe.cancel(subscription, at_once=True)
    assert granted(stripe, stripe.now + MINUTE) == "free"


def test_a_period_that_costs_nothing_is_had_to_its_end(stripe: VirtualStripe) -> None:
    """Stripe tells of an invoice of nothing at once, so that nothing more is to be paid."""
    subscription = stripe.checkout("ada", "pro_monthly")
    begun = stripe.begin_period(subscription)
    free = draft_of(stripe, subscription)
    free["total"] = free["lines"]["data"][0]["amount"] = 0
    stripe._settle(subscription, free)
    stripe.cancel(subscription, at_once=True)
    assert granted(stripe, begun + 20 * DAY) == "pro"


def test_a_subscription_of_whose_invoices_nothing_was_ever_told_keeps_the_period(stripe: VirtualStripe) -> None:
    """Their invoices were paid before the account was connected."""
    subscription = stripe.checkout("ada", "pro_yearly")
    stripe.now = START + 30 * DAY
    stripe.cancel(subscription, at_once=True)
    stripe.events = [each for each in stripe.events if not each["type"].startswith("invoice")]
    assert granted(stripe, START + 300 * DAY) == "pro"


def test_an_invoice_that_can_not_be_finalized_is_granted_for_the_days_of_grace(stripe: VirtualStripe) -> None:
    subscription = stripe.checkout("ada", "pro_yearly")
    begun = stripe.begin_period(subscription)
    invoice = draft_of(stripe, subscription)
    stripe._send("invoice.finalization_failed", invoice)
    assert granted(stripe, begun + GRACE - MINUTE) == "pro"
    assert granted(stripe, begun + GRACE) == "refused"
    stripe.now += 6 * DAY
    stripe._settle(subscription, invoice)
    assert granted(stripe, begun + 300 * DAY) == "pro"


def test_the_books_follow(billing: Billing) -> None:
    """The period that began goes on as that of the plan that is left, with what was used of it."""
    stripe = VirtualStripe()
    subscription = stripe.checkout("ada", "pro_yearly")
    billing.process(stripe.events, at=START)
    told = len(stripe.events)
    begun = stripe.begin_period(subscription)
    stripe.now += 30 * MINUTE
    billing.process(stripe.events[told:], at=stripe.now)
    assert billing.periods("ada")[-1][0::2] == (begun, "pro")
    told = len(stripe.events)
    stripe.cancel(subscription, at_once=True)
    billing.process(stripe.events[told:], at=stripe.now)
    assert billing.user("ada")[0] == "free"
    assert billing.periods("ada")[-1][0::2] == (begun, "free")
