"""What nobody pays is granted for the days of grace alone, and what is paid is never refused."""

from datetime import datetime, timedelta

import pytest

from credits_engine.billing.entitlements.changes import Entitlement
from credits_engine.engines.plans import GRACE
from tests.credits_engine.billing.stories import stands
from tests.credits_engine.billing.stripe_objects import GENERATIONS, Json, seconds
from tests.credits_engine.billing.virtual_collection import (
    credit_note,
    dispute,
    give_up,
    pause,
    proration_waits,
    refund_fails,
    unpause,
)
from tests.credits_engine.billing.virtual_stripe import HOUR, START, VirtualStripe

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
SECOND_MONTH, THIRD_MONTH = START.replace(month=12), START.replace(year=START.year + 1, month=1)


@pytest.fixture(params=GENERATIONS)
def stripe(request: pytest.FixtureRequest) -> VirtualStripe:
    """A Stripe of each generation of its API."""
    return VirtualStripe(request.param)


def at(stripe: VirtualStripe, moment: datetime) -> Entitlement:
    found = stands([event for event in stripe.events if event["created"] <= seconds(moment)], moment)
    assert found is not None
    return found


def granted(stripe: VirtualStripe, moment: datetime) -> str:
    """Return the plan, or that it is refused."""
    found = at(stripe, moment)
    return "refused" if found.blocked else found.plan.name


PAUSED = {"void": "refused", "mark_uncollectible": "pro", "keep_as_draft": "pro"}


@pytest.mark.parametrize("behavior", PAUSED)
def test_a_paused_collection_means_what_stripe_says(stripe: VirtualStripe, behavior: str) -> None:
    subscription = stripe.checkout("ada", "pro_monthly")
    stripe.pass_time(START + 10 * DAY)
    pause(stripe, subscription, behavior)
    assert granted(stripe, SECOND_MONTH - DAY) == "pro", "this period is paid"
    stripe.pass_time(SECOND_MONTH + 20 * DAY)
    assert granted(stripe, SECOND_MONTH + 2 * HOUR) == PAUSED[behavior]
    assert granted(stripe, stripe.now) == PAUSED[behavior]


def test_a_void_pause_that_the_clock_reaches_before_stripe_tells_is_refused_too(stripe: VirtualStripe) -> None:
    subscription = stripe.checkout("ada", "pro_monthly")
    pause(stripe, subscription, "void")
    assert at(stripe, SECOND_MONTH - DAY).due_at == SECOND_MONTH
    assert granted(stripe, SECOND_MONTH) == "refused"


def test_a_void_pause_ends_with_the_next_paid_period(stripe: VirtualStripe) -> None:
    subscription = stripe.checkout("ada", "pro_monthly")
    pause(stripe, subscription, "void")
    stripe.pass_time(SECOND_MONTH + 10 * DAY)
    unpause(stripe, subscription)
    assert granted(stripe, stripe.now) == "refused", "the running period's invoice stays void"
    stripe.pass_time(THIRD_MONTH + DAY)
    assert granted(stripe, stripe.now) == "pro"


def test_a_void_pause_that_ends_by_itself_before_the_next_period_refuses_nothing(stripe: VirtualStripe) -> None:
    subscription = stripe.checkout("ada", "pro_monthly")
    pause(stripe, subscription, "void", SECOND_MONTH - DAY)
    assert granted(stripe, SECOND_MONTH + HOUR) == "pro"


@pytest.mark.parametrize("kind", ["voided", "marked_uncollectible"])
def test_an_upgrade_that_is_not_taken_back_counts_no_longer_than_its_invoice(stripe: VirtualStripe, kind: str) -> None:
    subscription = stripe.checkout("ada", "starter_monthly")
    stripe.pass_time(START + DAY)
    subscription.card_works = False
    stripe.change_price(subscription, "plus_monthly")
    stripe._change(subscription, status="past_due")
    assert granted(stripe, stripe.now) == "plus"
    stripe.now += HOUR
    give_up(stripe, subscription, kind)
    assert granted(stripe, stripe.now) == "starter"


def test_an_upgrade_that_fails_leaves_what_is_paid_after_the_grace_time(stripe: VirtualStripe) -> None:
    subscription = stripe.checkout("ada", "starter_yearly")
    stripe.pass_time(START + DAY)
    subscription.card_works = False
    stripe.change_price(subscription, "plus_yearly")
    failed_at = stripe.now
    stripe._change(subscription, status="past_due")
    assert granted(stripe, failed_at + GRACE - MINUTE) == "plus"
    assert granted(stripe, failed_at + GRACE) == "starter", "the year was paid"


def test_a_failed_upgrade_is_not_forgotten_for_an_update_of_something_else(stripe: VirtualStripe) -> None:
    subscription = stripe.checkout("ada", "starter_monthly")
    stripe.pass_time(START + DAY)
    subscription.card_works = False
    stripe.change_price(subscription, "plus_monthly")
    stripe.now += HOUR
    stripe._change(subscription, metadata={"note": "changed"})
    assert granted(stripe, stripe.now + GRACE) == "starter"


def test_a_renewal_that_is_voided_is_granted_no_longer_though_stripe_calls_it_active(stripe: VirtualStripe) -> None:
    subscription = stripe.checkout("ada", "pro_monthly")
    subscription.card_works = False
    stripe.pass_time(SECOND_MONTH + DAY)
    give_up(stripe, subscription)
    assert subscription.status == "active"
    assert granted(stripe, stripe.now) == "refused"
    assert "voided" in str(at(stripe, stripe.now).blocked)
    subscription.card_works = True
    stripe.pass_time(THIRD_MONTH + DAY)
    assert granted(stripe, stripe.now) == "pro"


def test_a_recovery_is_believed_though_its_payment_was_not_told(stripe: VirtualStripe) -> None:
    subscription = stripe.checkout("ada", "pro_monthly")
    subscription.card_works = False
    stripe.pass_time(SECOND_MONTH + DAY)
    stripe._change(subscription, status="active")
    assert granted(stripe, SECOND_MONTH + 20 * DAY) == "pro"


def test_an_unpaid_new_anchor_takes_nothing_of_the_month_that_was_paid(stripe: VirtualStripe) -> None:
    subscription = stripe.checkout("ada", "starter_monthly")
    stripe.pass_time(START + 5 * DAY)
    subscription.card_works = False
    stripe.change_price(subscription, "plus_monthly", move_anchor=True)
    stripe.cancel(subscription, at_once=True)
    assert granted(stripe, START + 20 * DAY) == "starter"
    assert at(stripe, SECOND_MONTH).is_live is False


def test_a_refund_that_fails_gives_nothing_back(stripe: VirtualStripe) -> None:
    subscription = stripe.checkout("ada", "pro_yearly")
    stripe.pass_time(START + 30 * DAY)
    stripe.cancel(subscription, at_once=True)
    stripe.refund(subscription)
    assert granted(stripe, stripe.now) == "free"
    stripe.now += DAY
    refund_fails(stripe, subscription, 2900)
    assert granted(stripe, stripe.now) == "pro"
    stripe.now += DAY
    stripe.refund(subscription)
    assert granted(stripe, stripe.now) == "free", "it is made once more"


@pytest.mark.parametrize("way", ["with the period", "on a day"])
def test_leaving_later_with_the_rest_refunded_ends_when_the_paid_part_does(stripe: VirtualStripe, way: str) -> None:
    subscription = stripe.checkout("ada", "pro_yearly")
    stripe.pass_time(START + 30 * DAY)
    stripe.refund(subscription, 265 / 365)
    assert granted(stripe, START + 200 * DAY) == "pro", "whoever stays keeps the plan"
    if way == "with the period":
        stripe.cancel(subscription)
    else:
        stripe._send(
            "customer.subscription.updated",
            {**stripe.object(subscription), "cancel_at": seconds(START + 300 * DAY)},
            {"cancel_at": None},
        )
    assert granted(stripe, START + 98 * DAY) == "pro"
    assert granted(stripe, START + 101 * DAY) == "free"


def test_credits_that_wait_for_an_invoice_end_a_plan_that_was_left(stripe: VirtualStripe) -> None:
    subscription = stripe.checkout("ada", "pro_yearly")
    stripe.pass_time(START + 30 * DAY)
    item = proration_waits(stripe, subscription, -2600)
    stripe.cancel(subscription, at_once=True)
    assert granted(stripe, stripe.now + MINUTE) == "free"
    stripe._send("invoiceitem.deleted", item)
    assert granted(stripe, stripe.now + MINUTE) == "pro"


def test_a_plan_flip_whose_prorations_wait_leaves_what_was_paid(stripe: VirtualStripe) -> None:
    subscription = stripe.checkout("ada", "starter_monthly")
    stripe.pass_time(START + DAY)
    for price, cents in (("starter_monthly", -800), ("plus_monthly", 9000)):
        proration_waits(stripe, subscription, cents, price)
    stripe._change(subscription, price="plus_monthly")
    stripe.now += HOUR
    for price, cents in (("plus_monthly", -9000), ("starter_monthly", 800)):
        proration_waits(stripe, subscription, cents, price)
    stripe._change(subscription, price="starter_monthly")
    stripe.cancel(subscription, at_once=True)
    assert granted(stripe, START + 20 * DAY) == "starter"


def test_a_plan_that_is_charged_anew_after_days_on_another_is_paid_to_its_end(stripe: VirtualStripe) -> None:
    subscription = stripe.checkout("ada", "pro_monthly")
    for days, left, price, back, charged in (
        (5, "pro_monthly", "plus_monthly", 2_400, 8_300),
        (10, "plus_monthly", "pro_monthly", 6_600, 1_950),
    ):
        stripe.now = START + days * DAY
        stripe._change(subscription, price=price)
        proration_waits(stripe, subscription, -back, left)
        proration_waits(stripe, subscription, charged)
    stripe.now = START + 20 * DAY
    stripe.cancel(subscription, at_once=True)
    assert granted(stripe, START + 29 * DAY) == "pro"


def test_a_credit_note_of_the_rest_ends_a_plan_that_was_left(stripe: VirtualStripe) -> None:
    subscription = stripe.checkout("ada", "pro_yearly")
    assert subscription.last_invoice
    stripe.pass_time(START + 30 * DAY)
    stripe.cancel(subscription, at_once=True)
    credit_note(stripe, subscription.last_invoice, 2700)
    assert granted(stripe, stripe.now) == "free"


def test_an_open_dispute_refuses_until_it_is_won(stripe: VirtualStripe) -> None:
    subscription = stripe.checkout("ada", "pro_monthly")
    assert subscription.last_invoice
    opened_at = stripe.now = START + 3 * DAY
    dispute(stripe, subscription.last_invoice, "needs_response", opened_at)
    assert granted(stripe, stripe.now) == "refused"
    assert "disputed" in str(at(stripe, stripe.now).blocked)
    stripe.now += DAY
    dispute(stripe, subscription.last_invoice, "under_review", opened_at)
    assert granted(stripe, stripe.now) == "refused"
    stripe.now += 9 * DAY
    dispute(stripe, subscription.last_invoice, "won", opened_at)
    assert granted(stripe, stripe.now) == "pro"


def test_a_dispute_that_is_lost_ends_what_it_paid_for_and_the_next_payment_counts(stripe: VirtualStripe) -> None:
    subscription = stripe.checkout("ada", "pro_monthly")
    assert subscription.last_invoice
    opened_at = stripe.now = START + 3 * DAY
    dispute(stripe, subscription.last_invoice, "lost", opened_at)
    assert granted(stripe, stripe.now) == "refused"
    assert "lost in a dispute" in str(at(stripe, stripe.now).blocked)
    stripe.pass_time(SECOND_MONTH + DAY)
    assert granted(stripe, stripe.now) == "pro"


@pytest.mark.parametrize("stage", ["appeal_needs_response", "appeal_under_review"])
def test_a_dispute_that_is_appealed_refuses_until_it_is_decided(stripe: VirtualStripe, stage: str) -> None:
    subscription = stripe.checkout("ada", "pro_monthly")
    assert subscription.last_invoice
    opened_at = stripe.now = START + 3 * DAY
    dispute(stripe, subscription.last_invoice, stage, opened_at)
    assert granted(stripe, stripe.now) == "refused"
    stripe.now += DAY
    dispute(stripe, subscription.last_invoice, "won", opened_at)
    assert granted(stripe, stripe.now) == "pro"


@pytest.mark.parametrize(
    ("told", "left"),
    [
        ({"balance_transactions": [{"amount": -2900}]}, "refused"),
        ({"payment_method_details": {"type": "card", "card": {"case_type": "resolution"}}}, "refused"),
        ({"payment_method_details": {"type": "card", "card": {"case_type": "block"}}}, "pro"),
        ({"balance_transactions": [{"amount": -2900}, {"amount": 2900}]}, "pro"),
        ({}, "pro"),
    ],
)
def test_a_dispute_that_was_prevented_by_giving_the_money_back_is_lost(
    stripe: VirtualStripe, told: Json, left: str
) -> None:
    subscription = stripe.checkout("ada", "pro_monthly")
    assert subscription.last_invoice
    dispute(stripe, subscription.last_invoice, "prevented", START, **told)
    assert granted(stripe, START) == left


@pytest.mark.parametrize("status", ["warning_needs_response", "warning_under_review", "warning_closed", "unheard_of"])
def test_an_inquiry_takes_no_money_and_refuses_nothing(stripe: VirtualStripe, status: str) -> None:
    subscription = stripe.checkout("ada", "pro_monthly")
    assert subscription.last_invoice
    dispute(stripe, subscription.last_invoice, status, START)
    assert granted(stripe, START) == "pro"


def test_a_price_whose_lookup_key_went_to_its_successor_renews(stripe: VirtualStripe) -> None:
    subscription = stripe.checkout("ada", "pro_monthly")
    subscription.retired_prices.add("pro_monthly")
    stripe.pass_time(SECOND_MONTH + DAY)
    assert granted(stripe, stripe.now) == "pro"
    stripe.cancel(subscription, at_once=True)
    assert granted(stripe, THIRD_MONTH - DAY) == "pro", "its invoice is known for what it pays too"
