"""What is credited for time that was paid before opens no period, also where it is told after what it paid for."""

from datetime import timedelta

import pytest

from control_plane.platform.db.database import transaction
from credits_engine.billing.entitlements.period_sweep import PeriodSweep
from credits_engine.billing.store.inbox import State
from credits_engine.engines.amounts import Amounts
from credits_engine.engines.memberships import Membership
from credits_engine.engines.receipts import EntryType
from credits_engine.operations import reservations
from credits_engine.operations.consumption import Operation
from tests.credits_engine.billing.conftest import Billing
from tests.credits_engine.billing.guard_counts import tripped
from tests.credits_engine.billing.stripe_objects import NEW, OLD, Json, Subscription
from tests.credits_engine.billing.two_accounts import DAY, HOUR, PRO, V2_SERVES, spendable, take
from tests.credits_engine.billing.virtual_stripe import START, VirtualStripe
from tests.faults.ledger import assert_whole


@pytest.fixture(params=[OLD, NEW])
def stripe(request: pytest.FixtureRequest) -> VirtualStripe:
    """A Stripe of both ways to write an invoice."""
    return VirtualStripe(request.param)


def come_again(billing: Billing, stripe: VirtualStripe) -> list[Json]:
    """Use most of a month, leave with the rest credited, and subscribe anew; returns the events of the credit."""
    held = stripe.checkout("ada", "pro_monthly")
    billing.process(stripe.events, at=START)
    assert take(billing, "ada", "k1", 9_000)
    return leave_and_come_again(billing, stripe, held)


def leave_and_come_again(billing: Billing, stripe: VirtualStripe, held: Subscription) -> list[Json]:
    """Leave after a day with the rest credited, and subscribe anew; returns the events of the credit."""
    stripe.now, told = START + DAY, len(stripe.events)
    credit = {**stripe._objects.line(held, start=stripe.now, proration=True), "amount": -2_800}
    stripe._settle(held, stripe._objects.invoice(held, "subscription_update", [credit]))
    credited = stripe.events[told:]
    told = len(stripe.events)
    stripe.cancel(held, at_once=True)
    stripe.now += HOUR
    stripe.checkout("ada", "pro_monthly")
    billing.process(stripe.events[told:], at=stripe.now)
    return credited


@pytest.mark.parametrize("used", [0, 500])
@pytest.mark.parametrize("times", [1, 2])
def test_a_credit_that_is_told_late_takes_the_second_allowance_back(
    billing: Billing, stripe: VirtualStripe, used: int, times: int
) -> None:
    credited = come_again(billing, stripe)
    assert spendable(billing, "ada") == PRO, "so far nothing says that it was no new money"
    assert not used or take(billing, "ada", "k2", used)
    for _ in range(times):
        billing.process(credited, at=stripe.now + 2 * DAY)
    assert spendable(billing, "ada") == PRO - Amounts(9_000 + used)
    assert not tripped(billing, "billing_reset_twice")
    assert set(billing.states().values()) <= {State.APPLIED, State.SUPERSEDED}
    assert_whole(billing.app)


def test_what_is_reserved_meanwhile_goes_back_where_it_was_taken(billing: Billing, stripe: VirtualStripe) -> None:
    credited = come_again(billing, stripe)
    reserved = Operation("ada", "k2", Amounts(600), "test", EntryType.RESERVE)
    with transaction() as session:
        assert reservations.reserve(session, reserved, now=billing.now, evaluate=lambda _: V2_SERVES).granted
    billing.process(credited, at=billing.now + HOUR)
    with transaction() as session:
        reservations.release(session, "ada", "k2", now=billing.now, actor="test", reason="It failed.")
    assert spendable(billing, "ada") == PRO - Amounts(9_000)
    assert_whole(billing.app)


def test_a_members_limit_counts_on_as_well(billing: Billing, stripe: VirtualStripe) -> None:
    eve = Membership("eve", "ada", START, {"analysis": 600})
    held = stripe.checkout("ada", "pro_monthly")
    billing.process(stripe.events, at=START)
    assert take(billing, "ada", "k1", 600, member=eve)
    credited = leave_and_come_again(billing, stripe, held)
    assert take(billing, "ada", "k2", 100, member=eve), "so far a period has begun"
    billing.process(credited, at=billing.now + HOUR)
    assert not take(billing, "ada", "k3", 1, member=eve)


def test_the_next_period_begins_where_it_would_have(billing: Billing, stripe: VirtualStripe) -> None:
    billing.process(come_again(billing, stripe), at=stripe.now + 2 * DAY)
    told = len(stripe.events)
    stripe.pass_time(START + timedelta(days=33))
    billing.process(stripe.events[told:], at=stripe.now)
    PeriodSweep().tick(stripe.now)
    assert [start for start, _, _ in billing.periods("ada")][-1] == START.replace(month=12)
    assert spendable(billing, "ada") == PRO
    assert_whole(billing.app)
