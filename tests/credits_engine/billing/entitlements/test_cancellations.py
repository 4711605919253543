"""Subscriptions that are to end on a day within a period: what is paid for is had to its end, told or not."""

from datetime import datetime, timedelta

import pytest

from credits_engine.billing.entitlements import period_sweep
from tests.credits_engine.billing.conftest import Billing
from tests.credits_engine.billing.stories import stands
from tests.credits_engine.billing.stripe_objects import GENERATIONS
from tests.credits_engine.billing.virtual_stripe import START, VirtualStripe

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
LAST_DAY = START + 10 * DAY


@pytest.fixture(params=GENERATIONS)
def stripe(request: pytest.FixtureRequest) -> VirtualStripe:
    """A Stripe of each generation of its API."""
    return VirtualStripe(request.param)


def granted(stripe: VirtualStripe, moment: datetime) -> str:
    """Return the plan by all that Stripe has told so far."""
    found = stands(stripe.events, moment)
    assert found is not None
    return found.plan.name


@pytest.mark.parametrize("is_told", [True, False])
def test_what_is_paid_is_had_beyond_the_day(stripe: VirtualStripe, is_told: bool) -> None:
    subscription = stripe.checkout("ada", "pro_monthly")
    stripe._change(subscription, cancel_at=LAST_DAY)
    if is_told:
        stripe.pass_time(LAST_DAY)
        assert subscription.status == "canceled"
    assert granted(stripe, LAST_DAY + MINUTE) == "pro"
    assert granted(stripe, subscription.end) == "free"


def test_a_trial_ends_with_the_day(stripe: VirtualStripe) -> None:
    subscription = stripe.try_out("ada", "pro_monthly")
    stripe._change(subscription, cancel_at=LAST_DAY)
    assert granted(stripe, LAST_DAY - MINUTE) == "pro"
    assert granted(stripe, LAST_DAY) == "free"


def test_an_upgrade_that_nobody_paid_ends_with_the_day(stripe: VirtualStripe) -> None:
    subscription = stripe.checkout("ada", "starter_monthly")
    stripe._change(subscription, cancel_at=LAST_DAY, price="plus_monthly")
    found = stands(stripe.events, LAST_DAY - MINUTE)
    assert found is not None
    assert (found.plan.name, found.due_at) == ("plus", LAST_DAY)
    assert granted(stripe, LAST_DAY) == "starter"


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_what_a_refund_leaves_is_had_whatever_the_day(stripe: VirtualStripe, share: float) -> None:
    subscription = stripe.checkout("ada", "pro_yearly")
    stripe.refund(subscription, share)
    stripe._change(subscription, cancel_at=LAST_DAY)
    assert granted(stripe, START + 180 * DAY) == ("pro" if share < 1 else "free")
    assert granted(stripe, START + 185 * DAY) == "free"


def test_the_books_follow_by_the_clock_alone(billing: Billing) -> None:
    stripe = VirtualStripe()
    subscription = stripe.checkout("ada", "starter_monthly")
    stripe._change(subscription, cancel_at=LAST_DAY, price="plus_monthly")
    billing.process(stripe.events, at=START)
    assert [plan for *_, plan in billing.periods("ada")] == ["plus"]
    period_sweep.sync_due(LAST_DAY)
    assert billing.user("ada")[0] == "starter"
    assert [plan for *_, plan in billing.periods("ada")] == ["starter"]
    period_sweep.sync_due(subscription.end)
    assert billing.user("ada")[0] == "free"
