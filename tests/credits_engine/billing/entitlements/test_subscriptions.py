import random
from datetime import timedelta
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credits_engine.billing.entitlements.changes import Entitlement
from tests.credits_engine.billing.stories import created, random_life, stands
from tests.credits_engine.billing.stripe_objects import GENERATIONS, OLD
from tests.credits_engine.billing.virtual_stripe import START, VirtualStripe

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
MONTH_END = START.replace(month=12)


def entitled(stripe: VirtualStripe) -> Entitlement:
    found = stands(stripe.events, stripe.now)
    assert found is not None
    return found


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.randoms(use_true_random=False), st.sampled_from(GENERATIONS))
def test_order_and_number_of_deliveries_change_nothing(seed: int, chance: random.Random, generation: str) -> None:
    stripe = random_life(seed, generation=generation)
    expected = stands(stripe.events, stripe.now)
    deliveries = [event for event in stripe.events for _ in range(chance.randint(1, 5))]
    chance.shuffle(deliveries)
    assert stands(deliveries, stripe.now) == expected


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_every_generation_of_the_api_tells_the_same_life(seed: int) -> None:
    lives = [random_life(seed, generation=generation) for generation in GENERATIONS]
    moments = sorted({created(event) for event in lives[0].events})
    for moment in moments:
        answers = {stands([e for e in life.events if created(e) <= moment], moment) for life in lives}
        assert len(answers) == 1


def test_all_permutations_of_a_renewal_and_an_upgrade_end_alike() -> None:
    stripe = VirtualStripe(OLD)
    subscription = stripe.checkout("ada", "starter_monthly")
    before = list(stripe.events)
    stripe.pass_time(MONTH_END + HOUR)
    stripe.change_price(subscription, "pro_monthly", move_anchor=True)
    fresh = stripe.events[len(before) :]
    assert len(fresh) == 6
    answers = {stands([*before, *order], stripe.now) for order in permutations(fresh)}
    assert len(answers) == 1
    (answer,) = answers
    assert answer is not None
    assert (answer.plan.name, answer.opened_at) == ("pro", stripe.now)


def test_nothing_is_granted_before_the_first_payment() -> None:
    stripe = VirtualStripe()
    subscription = stripe.checkout("ada", "pro_monthly")
    incomplete = [event for event in stripe.events if event["data"]["object"].get("status") == "incomplete"]
    assert subscription.status == "active"
    assert stands(incomplete, stripe.now) is None


def test_an_upgrade_counts_at_once_and_a_downgrade_from_the_next_period_on() -> None:
    stripe = VirtualStripe()
    subscription = stripe.checkout("ada", "starter_monthly")
    stripe.pass_time(START + 5 * DAY)
    stripe.change_price(subscription, "plus_monthly")
    assert entitled(stripe).plan.name == "plus"
    stripe.pass_time(START + 9 * DAY)
    stripe.change_price(subscription, "starter_monthly")
    assert entitled(stripe).plan.name == "plus"
    assert entitled(stripe).opened_at == START
    late = stands(stripe.events, MONTH_END)
    assert late is not None
    assert late.plan.name == "starter"


def test_a_downgrade_is_known_from_its_event_alone() -> None:
    stripe = VirtualStripe()
    subscription = stripe.checkout("ada", "plus_monthly")
    stripe.pass_time(START + 5 * DAY)
    stripe.change_price(subscription, "starter_monthly")
    (alone,) = [event for event in stripe.events if "previous_attributes" in event["data"]][-1:]
    found = stands([alone], stripe.now)
    assert found is not None
    assert found.plan.name == "plus"


def test_a_yearly_plan_keeps_what_it_paid_for_until_the_year_ends() -> None:
    stripe = VirtualStripe()
    subscription = stripe.checkout("ada", "pro_yearly")
    stripe.pass_time(START + 40 * DAY)
    stripe.change_price(subscription, "starter_yearly")
    in_summer = stands(stripe.events, START + 250 * DAY)
    next_year = stands(stripe.events, START.replace(year=START.year + 1))
    assert in_summer is not None
    assert next_year is not None
    assert (in_summer.plan.name, next_year.plan.name) == ("pro", "starter")
    assert in_summer.anchor == START


def test_a_cancellation_keeps_the_rights_until_the_period_ends_without_any_further_event() -> None:
    stripe = VirtualStripe()
    subscription = stripe.checkout("ada", "pro_monthly")
    stripe.pass_time(START + 3 * DAY)
    stripe.cancel(subscription)
    last_moment = stands(stripe.events, MONTH_END - timedelta(microseconds=1))
    ended = stands(stripe.events, MONTH_END)
    assert last_moment is not None
    assert ended is not None
    assert (last_moment.plan.name, last_moment.due_at) == ("pro", MONTH_END)
    assert (ended.plan.name, ended.anchor, ended.is_live) == ("free", None, False)


def test_leaving_at_once_keeps_a_paid_period_and_a_refunded_one_ends() -> None:
    stripe = VirtualStripe()
    subscription = stripe.checkout("ada", "pro_monthly")
    stripe.pass_time(START + 3 * DAY)
    stripe.cancel(subscription, at_once=True)
    assert entitled(stripe).plan.name == "pro"
    stripe.refund(subscription, 0.5)
    assert entitled(stripe).plan.name == "pro"
    stripe.refund(subscription)
    assert entitled(stripe).plan.name == "free"


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_refund_alone_takes_no_plan_credits_away(generation: str) -> None:
    stripe = VirtualStripe(generation)
    subscription = stripe.checkout("ada", "pro_monthly")
    stripe.refund(subscription)
    assert entitled(stripe).plan.name == "pro"


def test_a_failing_payment_has_five_days_of_grace_and_paying_ends_it() -> None:
    stripe = VirtualStripe()
    subscription = stripe.checkout("ada", "pro_monthly")
    subscription.card_works = False
    stripe.pass_time(MONTH_END + DAY)
    failed_at = MONTH_END + HOUR
    grace_ends = failed_at + 5 * DAY
    assert entitled(stripe).due_at == grace_ends
    for moment, blocked in ((grace_ends - DAY, False), (grace_ends, True), (grace_ends + 9 * DAY, True)):
        found = stands(stripe.events, moment)
        assert found is not None
        assert (found.plan.name, bool(found.blocked)) == ("pro", blocked)
    stripe.pass_time(grace_ends + DAY)
    stripe.pay_open_invoice(subscription)
    assert entitled(stripe).blocked is None


def test_the_grace_time_counts_from_the_failure_whichever_event_tells_it() -> None:
    stripe = VirtualStripe()
    subscription = stripe.checkout("ada", "pro_monthly")
    subscription.card_works = False
    stripe.pass_time(MONTH_END + DAY)
    for left_out in ("invoice.payment_failed", "past_due"):
        kept = [e for e in stripe.events if left_out not in (e["type"], e["data"]["object"].get("status"))]
        assert len(kept) == len(stripe.events) - 1
        found = stands(kept, stripe.now)
        assert found is not None
        assert found.due_at == MONTH_END + HOUR + 5 * DAY


def test_a_paused_subscription_is_refused_until_it_resumes() -> None:
    stripe = VirtualStripe()
    subscription = stripe.try_out("ada", "pro_monthly")
    stripe.pass_time(START + 13 * DAY)
    stripe.pause(subscription)
    assert entitled(stripe).blocked == "The subscription is paused; resume it to go on."
    stripe.pass_time(START + 20 * DAY)
    stripe.resume(subscription)
    assert entitled(stripe).blocked is None
    assert entitled(stripe).opened_at == stripe.now


def test_a_trial_grants_the_trial_plan_and_its_end_opens_a_period_when_paid() -> None:
    stripe = VirtualStripe()
    stripe.try_out("ada", "starter_monthly", days=14)
    assert (entitled(stripe).plan.name, entitled(stripe).opened_at) == ("free", None)
    stripe.pass_time(START + 15 * DAY)
    assert (entitled(stripe).plan.name, entitled(stripe).opened_at) == ("starter", START + 14 * DAY)


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_trial_that_is_left_at_once_ends_at_once(generation: str) -> None:
    stripe = VirtualStripe(generation)
    subscription = stripe.try_out("ada", "pro_monthly", days=14)
    stripe.now += DAY
    stripe.cancel(subscription, at_once=True)
    assert entitled(stripe).plan.name == "free"


def test_of_several_items_the_highest_plan_counts_and_strangers_do_not_hinder() -> None:
    stripe = VirtualStripe()
    subscription = stripe.checkout("ada", "starter_monthly")
    subscription.extra_prices = ("pro_monthly", "extra_seats")
    stripe.change_price(subscription, "starter_monthly")
    assert entitled(stripe).plan.name == "pro"


def test_of_several_subscriptions_the_best_one_counts() -> None:
    stripe = VirtualStripe()
    first = stripe.checkout("ada", "pro_monthly")
    stripe.pass_time(START + 3 * DAY)
    stripe.checkout("ada", "starter_monthly")
    assert entitled(stripe).plan.name == "pro"
    stripe.refund(first)
    stripe.cancel(first, at_once=True)
    assert (entitled(stripe).plan.name, entitled(stripe).anchor) == ("starter", START + 3 * DAY)


def test_the_end_is_final_even_if_an_update_of_later_creation_arrives() -> None:
    stripe = VirtualStripe()
    subscription = stripe.checkout("ada", "pro_monthly")
    stripe.refund(subscription)
    stripe.cancel(subscription, at_once=True)
    update = next(event for event in stripe.events if event["type"] == "customer.subscription.updated")
    late = {**update, "id": "evt_late", "created": stripe.events[-1]["created"] + 60}
    found = stands([*stripe.events, late], stripe.now + DAY)
    assert found is not None
    assert not found.is_live


def test_a_renewal_that_never_arrives_leaves_the_rights_as_they_were() -> None:
    stripe = VirtualStripe()
    stripe.checkout("ada", "pro_monthly")
    for late in (2 * HOUR, 3 * DAY, 400 * DAY):
        found = stands(stripe.events, MONTH_END + late)
        assert found is not None
        assert (found.plan.name, found.blocked, found.anchor) == ("pro", None, START)


def test_flipping_plans_without_paying_opens_no_period() -> None:
    stripe = VirtualStripe()
    subscription = stripe.checkout("ada", "starter_monthly")
    subscription.card_works = False
    for day in range(1, 6):
        stripe.pass_time(START + day * DAY)
        price = "pro_monthly" if day % 2 else "starter_monthly"
        stripe.change_price(subscription, price, move_anchor=True)
        assert entitled(stripe).opened_at is None


def test_two_updates_of_one_second_are_told_apart_by_what_they_replace() -> None:
    for earlier_events in range(20):
        stripe = VirtualStripe()
        subscription = stripe.checkout("ada", "pro_monthly")
        for _ in range(earlier_events):
            stripe.refund(subscription)
        subscription.card_works = False
        stripe.pass_time(MONTH_END + DAY)
        stripe.pay_open_invoice(subscription)
        stripe.cancel(subscription)
        for order in (stripe.events, stripe.events[::-1]):
            ended = stands(order, subscription.end)
            assert ended is not None
            assert not ended.is_live
