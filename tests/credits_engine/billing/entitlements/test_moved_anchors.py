"""An anchor that moves opens a period for new money alone, not for what was credited for the rest of the one before."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby

import pytest

from credits_engine.billing.entitlements.period_sweep import PeriodSweep
from credits_engine.engines.periods import months_after
from tests.credits_engine.billing.conftest import Billing
from tests.credits_engine.billing.stories import created, stands
from tests.credits_engine.billing.stripe_objects import NEW, OLD, Json, Subscription
from tests.credits_engine.billing.virtual_sales import invoices_of, one_off_line
from tests.credits_engine.billing.virtual_stripe import START, VirtualStripe

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


@pytest.fixture(params=[OLD, NEW])
def stripe(request: pytest.FixtureRequest) -> VirtualStripe:
    """A Stripe of both ways to write an invoice."""
    return VirtualStripe(request.param)


def opened_at(stripe: VirtualStripe) -> datetime | None:
    found = stands(stripe.events, stripe.now + MINUTE)
    assert found
    return found.opened_at


def line(stripe: VirtualStripe, held: Subscription, cents: int) -> Json:
    return {**stripe._objects.line(held, start=stripe.now, proration=cents < 0), "amount": cents}


def switch(stripe: VirtualStripe, held: Subscription, price: str, days: int, *, cents: int, credit: int) -> None:
    """Go to a price of another interval: the anchor moves, and the rest of the one before is credited."""
    before = replace(held)
    stripe.now += DAY
    stripe._change(held, price=price, anchor=stripe.now, start=stripe.now, end=stripe.now + days * DAY)
    lines = [line(stripe, before, -credit), line(stripe, held, cents)]
    stripe._settle(held, stripe._objects.invoice(held, "subscription_update", lines))


def test_flips_between_a_month_and_a_year_open_one_period(stripe: VirtualStripe) -> None:
    held = stripe.checkout("ada", "pro_monthly")
    assert opened_at(stripe) == START
    switch(stripe, held, "pro_yearly", 365, cents=29_000, credit=2_800)
    assert opened_at(stripe) == START + DAY, "a year was paid"
    switch(stripe, held, "pro_monthly", 30, cents=2_900, credit=28_900)
    assert opened_at(stripe) is None
    switch(stripe, held, "pro_yearly", 365, cents=29_000, credit=2_800)
    assert opened_at(stripe) is None, "the year was paid by what was credited for the same year"


def come_again(stripe: VirtualStripe, customer: str = "") -> None:
    """Leave with the rest credited, and subscribe anew."""
    held = stripe.checkout("ada", "pro_monthly")
    stripe.now += DAY
    stripe._settle(held, stripe._objects.invoice(held, "subscription_update", [line(stripe, held, -2_800)]))
    stripe.cancel(held, at_once=True)
    stripe.now += HOUR
    stripe.checkout("ada", "pro_monthly", customer=customer)


def go_to_a_year_and_back(stripe: VirtualStripe) -> None:
    held = stripe.checkout("ada", "pro_monthly")
    switch(stripe, held, "pro_yearly", 365, cents=29_000, credit=2_800)
    switch(stripe, held, "pro_monthly", 30, cents=2_900, credit=28_900)


def move_the_anchor_for_nothing(stripe: VirtualStripe) -> None:
    held = stripe.checkout("ada", "pro_monthly")
    stripe.now += 20 * DAY
    stripe._change(held, anchor=stripe.now, start=stripe.now, end=stripe.now + 30 * DAY)


def test_who_leaves_with_the_rest_credited_and_comes_again_opens_nothing(stripe: VirtualStripe) -> None:
    come_again(stripe)
    assert opened_at(stripe) is None


def test_what_one_customer_was_credited_pays_nothing_for_another_of_the_same_user(stripe: VirtualStripe) -> None:
    """As after a merge: a balance is the customer's at Stripe."""
    come_again(stripe, customer="cus_other")
    assert opened_at(stripe) == stripe.now


@pytest.mark.parametrize(
    ("credited_in", "paid_in", "opens"),
    [("usd", "usd", False), (None, "usd", False), ("usd", None, False), ("jpy", "usd", True)],
)
def test_what_was_credited_in_one_currency_pays_no_invoice_in_another(
    stripe: VirtualStripe, credited_in: str | None, paid_in: str | None, opens: bool
) -> None:
    come_again(stripe, customer="cus_ada")
    *_, again = invoices = invoices_of(stripe)
    for invoice in invoices:
        invoice["currency"] = paid_in if invoice["id"] == again["id"] else credited_in
    assert opened_at(stripe) == (stripe.now if opens else None)


@pytest.mark.parametrize(
    ("act", "anchor"),
    [(come_again, START), (go_to_a_year_and_back, START + DAY), (move_the_anchor_for_nothing, START)],
)
def test_no_short_period_before_the_new_anchor_is_a_second_allowance(
    billing: Billing, stripe: VirtualStripe, act: Callable[[VirtualStripe], None], anchor: datetime
) -> None:
    act(stripe)
    assert (found := stands(stripe.events, stripe.now))
    assert found.anchor == anchor
    stripe.pass_time(START + 80 * DAY)
    for at, told in groupby(stripe.events, key=created):
        billing.process(told, at=at)
        PeriodSweep().tick(at + MINUTE)
    PeriodSweep().tick(START + 80 * DAY)
    starts = [start for start, _, _ in billing.periods("ada") if start >= anchor]
    assert starts == [months_after(anchor, number) for number in range(3)]


def make_longer(stripe: VirtualStripe, held: Subscription) -> Subscription:
    end = stripe.now + 7 * DAY
    stripe._change(held, anchor=end, end=end)
    return held


def try_again(stripe: VirtualStripe, held: Subscription) -> Subscription:
    stripe.cancel(held, at_once=True)
    return stripe.try_out("ada", "pro_monthly", days=7)


@pytest.mark.parametrize("go_on", [make_longer, try_again])
def test_a_trial_that_goes_on_has_a_months_credits_once_a_month(
    billing: Billing, stripe: VirtualStripe, go_on: Callable[[VirtualStripe, Subscription], Subscription]
) -> None:
    held, told = stripe.try_out("ada", "pro_monthly", days=7), 0
    for week in range(1, 6):
        billing.process(stripe.events[told:], at=stripe.now)
        PeriodSweep().tick(stripe.now + HOUR)
        told, stripe.now = len(stripe.events), START + week * 6 * DAY
        held = go_on(stripe, held)
    assert [start for start, _, _ in billing.periods("ada") if start > START] == [START + 7 * DAY]


@pytest.mark.parametrize(("credit", "is_opened"), [(2_800, False), (300, True)])
def test_what_the_first_invoice_credits_for_another_subscription_is_no_new_money(
    stripe: VirtualStripe, credit: int, *, is_opened: bool
) -> None:
    first = stripe.checkout("ada", "pro_monthly")
    stripe.now += DAY
    stripe.cancel(first, at_once=True)
    told = len(stripe.events)
    second = stripe.checkout("ada", "pro_monthly")
    assert first.last_invoice is not None
    for invoice in invoices_of(stripe):
        if invoice["id"] != first.last_invoice["id"]:
            invoice["lines"] |= {"data": [*invoice["lines"]["data"], line(stripe, first, -credit)]}
            invoice["total"] -= credit
    assert len(stripe.events) > told
    assert opened_at(stripe) == (second.anchor if is_opened else None)


@pytest.mark.parametrize(("days", "is_opened"), [(8, False), (31, True)])
def test_a_week_that_is_bought_again_has_a_months_credits_once_a_month(
    stripe: VirtualStripe, days: int, *, is_opened: bool
) -> None:
    for number in (0, 1):
        stripe.now = START + number * days * DAY
        held = Subscription(
            id=f"sub_{number}",
            customer="cus_ada",
            price="pro_monthly",
            status="active",
            created=stripe.now,
            anchor=stripe.now,
            start=stripe.now,
            end=stripe.now + 7 * DAY,
        )
        stripe._tell(held, "created")
        stripe._bill(held, "subscription_create")
        assert opened_at(stripe) == (held.anchor if is_opened or number == 0 else None)
        stripe.now += HOUR
        stripe.cancel(held, at_once=True)


def test_a_balance_that_somebody_was_given_opens_a_period(stripe: VirtualStripe) -> None:
    held = stripe.checkout("ada", "pro_monthly")
    for invoice in invoices_of(stripe):
        goodwill = one_off_line(stripe, 1, amount=-50_000)
        invoice |= {"total": invoice["total"] - 50_000, "amount_paid": 0}
        invoice["lines"] |= {"data": [*invoice["lines"]["data"], goodwill]}
    switch(stripe, held, "pro_yearly", 365, cents=29_000, credit=2_800)
    assert opened_at(stripe) == START + DAY
