from datetime import datetime, timedelta

import pytest
from sqlalchemy import delete

from control_plane.platform.db.database import transaction
from credits_engine.billing.entitlements import period_sweep
from credits_engine.billing.entitlements.sync import sync_user
from credits_engine.billing.models import EVENTS, OPENINGS
from credits_engine.engines.amounts import Amounts
from credits_engine.operations.consumption import FlagEvaluation, Operation, consume
from credits_engine.reconciliation.journal import reconcile
from credits_engine.store.tables import COUNTERS
from tests.credits_engine.billing.conftest import Billing
from tests.credits_engine.billing.stripe_objects import GENERATIONS
from tests.credits_engine.billing.virtual_stripe import START, VirtualStripe

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
NEXT = START.replace(month=12)
MONTH = (START.replace(day=1, hour=0), START.replace(month=12, day=1, hour=0))
V2_SERVES = FlagEvaluation(enabled=True, reason="test", revision=1)


def take(billing: Billing, user_id: str, key: str, amount: int, at: datetime) -> None:
    billing.now = at
    operation = Operation(user_id, key, Amounts(amount, 0), actor="test")
    with transaction() as session:
        receipt = consume(session, operation, now=at, evaluate=lambda _: V2_SERVES)
    assert receipt.charged == Amounts(amount, 0)


def known_user(billing: Billing, user_id: str, *, at: datetime) -> None:
    """Somebody who used the free plan before ever paying."""
    stripe = VirtualStripe(name="before")
    stripe.open(f"cus_{user_id}", "starter_monthly", metadata={"user_id": user_id})
    incomplete = stripe.events[0]
    assert incomplete["data"]["object"]["status"] == "incomplete"
    billing.process([incomplete], at=at)
    assert billing.user(user_id) == ("free", None)


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_first_payment_opens_a_period_with_nothing_used(billing: Billing, generation: str) -> None:
    known_user(billing, "ada", at=START - DAY)
    take(billing, "ada", "k1", 30, START - HOUR)
    stripe = VirtualStripe(generation)
    stripe.checkout("ada", "pro_monthly")
    billing.process(stripe.events, at=START + timedelta(minutes=1))
    assert billing.user("ada") == ("pro", START)
    assert billing.periods("ada") == [(MONTH[0], START, "free"), (START, NEXT, "pro")]
    assert billing.used("ada") == Amounts(0, 0)
    assert set(billing.states().values()) <= {"applied", "superseded", "ignored"}


@pytest.mark.parametrize("swept", [True, False], ids=["swept", "not swept"])
@pytest.mark.parametrize("used", [0, 60])
def test_a_trials_first_period_does_not_depend_on_the_sweep(billing: Billing, *, swept: bool, used: int) -> None:
    known_user(billing, "ada", at=START - DAY)
    if not swept:
        with transaction() as session:
            session.execute(delete(COUNTERS))
    if used:
        take(billing, "ada", "k1", used, START - HOUR)
    stripe = VirtualStripe()
    stripe.try_out("ada", "pro_monthly", days=14)
    billing.process(stripe.events, at=START + HOUR)
    (running,) = [end for start, end, _ in billing.periods("ada") if start <= billing.now < end]
    assert running == (MONTH[1] if used else START + 14 * DAY)
    assert billing.used("ada") == Amounts(used, 0), "a trial gives no second allowance"
    with transaction() as session:
        assert reconcile(session).clean


def test_a_weekly_price_has_a_months_credits_once_a_month(billing: Billing) -> None:
    stripe = VirtualStripe()
    subscription = stripe.checkout("ada", "pro_monthly")
    stripe.events.clear()
    stripe.subscriptions.clear()
    subscription.end = START + 7 * DAY
    stripe._tell(subscription, "created")
    stripe._send("checkout.session.completed", stripe._objects.checkout(subscription, "ada"))
    for week in range(5):
        subscription.start, subscription.end = START + 7 * week * DAY, START + 7 * (week + 1) * DAY
        stripe.now = subscription.start
        stripe._change(subscription)
        stripe._bill(subscription, "subscription_cycle")
        billing.process(stripe.events, at=stripe.now + HOUR)
        take(billing, "ada", f"k{week}", 100, stripe.now + HOUR)
    assert [(start, end) for start, end, _ in billing.periods("ada")] == [
        (START, NEXT),
    ]
    assert billing.used("ada") == Amounts(500, 0)


def test_the_same_events_again_change_nothing(billing: Billing) -> None:
    stripe = VirtualStripe()
    stripe.checkout("ada", "pro_monthly")
    billing.process(stripe.events, at=START)
    before = billing.final_state(), billing.journal("ada")
    billing.process(stripe.events * 3, at=START + HOUR)
    assert (billing.final_state(), billing.journal("ada")) == before
    assert {row["deliveries"] for row in billing.rows(EVENTS)} == {4}


def test_an_upgrade_raises_the_limits_at_once_and_keeps_what_was_used(billing: Billing) -> None:
    stripe = VirtualStripe()
    subscription = stripe.checkout("ada", "starter_monthly")
    billing.process(stripe.events, at=START)
    take(billing, "ada", "k1", 700, START + DAY)
    stripe.pass_time(START + 2 * DAY)
    stripe.change_price(subscription, "pro_monthly")
    billing.process(stripe.events, at=stripe.now)
    assert billing.periods("ada") == [(START, NEXT, "pro")]
    assert billing.used("ada") == Amounts(700, 0)
    assert [row["type"] for row in billing.journal("ada")] == ["consume", "limit_change"]


def test_a_downgrade_waits_for_the_next_period(billing: Billing) -> None:
    stripe = VirtualStripe()
    subscription = stripe.checkout("ada", "pro_monthly")
    stripe.pass_time(START + 2 * DAY)
    stripe.change_price(subscription, "starter_monthly")
    billing.process(stripe.events, at=stripe.now)
    assert billing.user("ada")[0] == "pro"
    period_sweep.sync_due(NEXT)
    assert billing.user("ada")[0] == "starter"
    assert billing.periods("ada")[-1] == (NEXT, NEXT.replace(year=2027, month=1), "starter")


def test_a_paid_new_anchor_closes_the_period_and_opens_one_with_nothing_used(billing: Billing) -> None:
    stripe = VirtualStripe()
    subscription = stripe.checkout("ada", "starter_monthly")
    billing.process(stripe.events, at=START)
    take(billing, "ada", "k1", 700, START + DAY)
    stripe.pass_time(START + 5 * DAY)
    moved = stripe.now
    stripe.change_price(subscription, "pro_monthly", move_anchor=True)
    billing.process(stripe.events, at=moved + HOUR)
    assert billing.periods("ada") == [
        (START, moved, "starter"),
        (moved, moved.replace(month=12), "pro"),
    ]
    assert billing.used("ada") == Amounts(0, 0)
    (closed,) = [row for row in billing.journal("ada") if row["type"] == "period_close"]
    assert closed["reason"].startswith("Credits reset for ada")
    assert [row["period_start"] for row in billing.rows(OPENINGS)] == [moved]


def test_a_downgrade_to_a_new_anchor_takes_no_higher_limits_along(billing: Billing) -> None:
    stripe = VirtualStripe()
    subscription = stripe.checkout("ada", "pro_monthly")
    billing.process(stripe.events, at=START)
    stripe.pass_time(START + 5 * DAY)
    stripe.change_price(subscription, "starter_monthly", move_anchor=True)
    billing.process(stripe.events, at=stripe.now)
    assert billing.user("ada") == ("starter", stripe.now)
    assert [plan for _, _, plan in billing.periods("ada")] == ["pro", "starter"]


def test_what_was_consumed_before_the_payment_became_known_stays_in_its_period(billing: Billing) -> None:
    stripe = VirtualStripe()
    subscription = stripe.checkout("ada", "starter_monthly")
    billing.process(stripe.events, at=START)
    stripe.pass_time(START + 5 * DAY)
    moved = stripe.now
    stripe.change_price(subscription, "pro_monthly", move_anchor=True)
    take(billing, "ada", "k1", 700, moved + HOUR)
    late = moved + 2 * HOUR
    billing.process(stripe.events, at=late)
    assert billing.periods("ada") == [(START, late, "pro"), (late, moved.replace(month=12), "pro")]
    assert billing.used("ada") == Amounts(0, 0)
    with transaction() as session:
        assert reconcile(session).clean


def test_an_unpaid_new_anchor_gives_no_second_allowance(billing: Billing) -> None:
    stripe = VirtualStripe()
    subscription = stripe.checkout("ada", "starter_monthly")
    billing.process(stripe.events, at=START)
    take(billing, "ada", "k1", 700, START + DAY)
    stripe.pass_time(START + 5 * DAY)
    subscription.card_works = False
    stripe.change_price(subscription, "pro_monthly", move_anchor=True)
    billing.process(stripe.events, at=stripe.now)
    assert billing.used("ada") == Amounts(700, 0)
    assert billing.periods("ada") == [(START, NEXT, "pro")]


@pytest.mark.parametrize("late", [2 * HOUR, 3 * DAY, None], ids=["two hours", "three days", "never"])
def test_a_late_renewal_refuses_nobody_and_grants_nothing_twice(billing: Billing, late: timedelta | None) -> None:
    stripe = VirtualStripe()
    stripe.checkout("ada", "starter_monthly")
    billing.process(stripe.events, at=START)
    take(billing, "ada", "k1", 1000, START + DAY)
    take(billing, "ada", "k2", 900, NEXT + timedelta(minutes=5))
    stripe.pass_time(NEXT + DAY)
    if late is not None:
        billing.process(stripe.events, at=NEXT + late)
    period_sweep.sync_due(NEXT + 4 * DAY)
    assert billing.used("ada") == Amounts(900, 0)
    assert [start for start, _, _ in billing.periods("ada")] == [START, NEXT]
    assert billing.user("ada") == ("starter", START)


def test_a_cancellation_ends_with_its_period_by_the_clock_alone(billing: Billing) -> None:
    stripe = VirtualStripe()
    subscription = stripe.checkout("ada", "pro_monthly")
    stripe.cancel(subscription)
    billing.process(stripe.events, at=START)
    assert billing.user("ada") == ("pro", START)
    assert period_sweep.sync_due(NEXT - timedelta(seconds=1)) == 0
    assert period_sweep.sync_due(NEXT) == 1
    assert billing.user("ada") == ("free", None)
    assert billing.periods("ada") == [
        (START, NEXT, "pro"),
        (NEXT, NEXT.replace(year=2027, month=1, day=1, hour=0), "free"),
    ]


def test_a_failing_payment_blocks_after_the_grace_time_by_the_clock_alone(billing: Billing) -> None:
    stripe = VirtualStripe()
    subscription = stripe.checkout("ada", "pro_monthly")
    subscription.card_works = False
    stripe.pass_time(NEXT + 2 * HOUR)
    billing.process(stripe.events, at=stripe.now)
    assert billing.account("ada")["blocked"] is None
    period_sweep.sync_due(NEXT + HOUR + 5 * DAY)
    assert "Payment has been failing since 2026-12-10T09:00:00Z" in billing.account("ada")["blocked"]
    stripe.pass_time(NEXT + 8 * DAY)
    stripe.pay_open_invoice(subscription)
    billing.process(stripe.events, at=stripe.now)
    assert billing.account("ada")["blocked"] is None


def test_losing_rights_at_once_lowers_the_limits_at_once(billing: Billing) -> None:
    stripe = VirtualStripe()
    subscription = stripe.checkout("ada", "pro_monthly")
    billing.process(stripe.events, at=START)
    take(billing, "ada", "k1", 700, START + DAY)
    stripe.pass_time(START + 2 * DAY)
    stripe.refund(subscription)
    stripe.cancel(subscription, at_once=True)
    billing.process(stripe.events, at=stripe.now)
    assert billing.user("ada") == ("free", None)
    assert billing.periods("ada") == [(START, NEXT, "free")]
    assert billing.used("ada") == Amounts(700, 0)


def test_a_late_word_of_a_downgrade_at_the_renewal_corrects_the_limits(billing: Billing) -> None:
    stripe = VirtualStripe()
    subscription = stripe.checkout("ada", "pro_monthly")
    billing.process(stripe.events, at=START)
    take(billing, "ada", "k1", 5, NEXT + HOUR)
    assert billing.periods("ada")[-1] == (NEXT, NEXT.replace(year=2027, month=1), "pro")
    stripe.pass_time(NEXT - HOUR)
    subscription.price = "starter_monthly"
    stripe.pass_time(NEXT + DAY)
    billing.process(stripe.events, at=stripe.now)
    assert billing.user("ada")[0] == "starter"
    assert billing.periods("ada")[-1] == (NEXT, NEXT.replace(year=2027, month=1), "starter")
    assert billing.used("ada") == Amounts(5, 0)


def test_settling_twice_changes_nothing(billing: Billing) -> None:
    stripe = VirtualStripe()
    stripe.checkout("ada", "pro_monthly")
    billing.process(stripe.events, at=START)
    before = billing.final_state(), billing.journal("ada")
    with transaction() as session:
        assert sync_user(session, "ada", now=START).changes == ()
    assert (billing.final_state(), billing.journal("ada")) == before


def test_the_sweep_opens_the_running_period_of_everybody_a_page_at_a_time(billing: Billing) -> None:
    stripe = VirtualStripe()
    for number in range(5):
        stripe.checkout(f"user{number}", "starter_monthly")
    billing.process(stripe.events, at=START)
    roll = period_sweep.PeriodSweep()
    later = NEXT + HOUR
    assert roll.tick(later) == 5
    assert roll.tick(later) == 0
    assert all(len(billing.periods(f"user{number}")) == 2 for number in range(5))
