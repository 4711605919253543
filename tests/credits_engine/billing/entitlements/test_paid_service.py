"""What is granted is a function of what was paid and not given back, plus declared grace, in whatever order told."""

import random
from datetime import datetime, timedelta

import pytest

from credits_engine.billing import schedule
from credits_engine.billing.entitlements.history import histories
from credits_engine.billing.entitlements.rollovers import is_paid_through
from credits_engine.billing.store.inbox import State
from credits_engine.engines.periods import Period, months_after
from credits_engine.engines.plans import CATALOGUE
from tests.credits_engine.billing.conftest import Billing
from tests.credits_engine.billing.paid_service import PaidService, random_money
from tests.credits_engine.billing.stories import created, facts_of, stands
from tests.credits_engine.billing.stripe_objects import GENERATIONS

LOOKS = 6
HISTORIES, HISTORIES_LONG = 200, 10_000


def granted(stripe: PaidService, now: datetime, choose: random.Random) -> int:
    """Return the rank of the plan in force at `now`, by all events until then, in any order and with repetitions."""
    known = [event for event in stripe.events if created(event) <= now]
    deliveries = [event for event in known for _ in range(choose.choice((1, 1, 2)))]
    choose.shuffle(deliveries)
    found = stands(deliveries, now)
    if found is None or found.blocked:
        return 0
    return [plan.name for plan in CATALOGUE].index(found.plan.name)


def check(seed: int) -> None:
    """Hold one history against the oracle at some instants."""
    choose = random.Random(seed)
    stripe = random_money(seed, GENERATIONS[seed % len(GENERATIONS)])
    start = created(stripe.events[0])
    for _ in range(LOOKS):
        now = start + (stripe.now - start) * choose.random()
        now = now.replace(microsecond=0) + timedelta(milliseconds=500)
        low, rank, high = stripe.floor(now), granted(stripe, now, choose), stripe.ceiling(now)
        assert low <= rank <= high, f"seed {seed} at {now}: {low} <= {rank} <= {high}"


def check_rollovers(seed: int) -> int:
    """Hold against the oracle which periods roll over; returns how many may."""
    choose = random.Random(seed)
    stripe = random_money(seed, GENERATIONS[seed % len(GENERATIONS)])
    start, found = created(stripe.events[0]), 0
    for _ in range(LOOKS):
        now = start + (stripe.now + timedelta(days=40) - start) * choose.random()
        now = now.replace(microsecond=0) + timedelta(milliseconds=500)
        deliveries = [event for event in stripe.events if created(event) <= now]
        choose.shuffle(deliveries)
        known = histories(facts_of(deliveries))
        for charge in stripe.charges:
            begun = charge.start.replace(microsecond=0)
            period = Period(begun, months_after(begun, 1))
            if period.end > now:
                continue
            low = stripe.pays_for(charge.plan, period, now, extra_cents=2)
            high = stripe.pays_for(charge.plan, period, now, free=True)
            rolls = is_paid_through(charge.plan, period, known, CATALOGUE)
            assert low <= rolls <= high, f"seed {seed} at {now}: {charge.plan} from {begun}: {low} <= {rolls} <= {high}"
            found += rolls
    return found


@pytest.mark.parametrize("part", range(4))
def test_what_rolls_over_is_left_of_periods_that_are_paid_for_to_their_end(part: int) -> None:
    assert sum(check_rollovers(seed) for seed in range(part, HISTORIES, 4)) > HISTORIES // 4


@pytest.mark.long
def test_what_rolls_over_is_left_of_paid_periods_in_ten_thousand_histories() -> None:
    for seed in range(HISTORIES_LONG):
        check_rollovers(seed)


@pytest.mark.parametrize("part", range(4))
def test_credits_never_exceed_nor_fall_below_what_is_paid(part: int) -> None:
    for seed in range(part, HISTORIES, 4):
        check(seed)


@pytest.mark.long
def test_credits_never_exceed_nor_fall_below_what_is_paid_in_ten_thousand_histories() -> None:
    for seed in range(HISTORIES_LONG):
        check(seed)


@pytest.mark.parametrize("seed", range(8))
def test_the_books_follow_in_any_order(billing: Billing, seed: int) -> None:
    choose = random.Random(seed)
    stripe = random_money(seed, GENERATIONS[seed % len(GENERATIONS)])
    deliveries = [event for event in stripe.events for _ in range(choose.choice((1, 1, 2)))]
    choose.shuffle(deliveries)
    billing.process(deliveries, at=stripe.now)
    schedule.tidy(stripe.now)
    billing.work(at=stripe.now + timedelta(hours=1))
    assert set(billing.states().values()) <= {State.APPLIED, State.SUPERSEDED}
    plan = "free" if billing.account("ada")["blocked"] else billing.user("ada")[0]
    now = billing.now
    assert stripe.floor(now) <= [each.name for each in CATALOGUE].index(plan) <= stripe.ceiling(now)
    (limited_as,) = [name for start, end, name in billing.periods("ada") if start <= now < end]
    assert billing.account("ada")["blocked"] or limited_as == plan
