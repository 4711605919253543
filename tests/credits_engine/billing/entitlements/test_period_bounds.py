"""What is credited for time that was paid before opens no period, also where it is told after what it paid for."""

from datetime import timedelta

import pytest

from control_plane.platform.db.database import transaction
from credits_engine.billing.entitlements.period_sweep import PeriodSweep
from credits_engine.billing.store.inbox import State
from credits_engine.engines.amounts import Amounts
from credits_engine.engines.receipts import EntryType
from credits_engine.operations import reservations
from credits_engine.operations.consumption import Operation
from tests.credits_engine.billing.conftest import Office
from tests.credits_engine.billing.guard_counts import tripped
from tests.credits_engine.billing.stripe_objects import NEW, OLD, Json
from tests.credits_engine.billing.two_accounts import DAY, HOUR, PRO, V2_SERVES, spendable, take
from tests.credits_engine.billing.virtual_stripe import START, VirtualStripe
from tests.faults.ledger import assert_whole


@pytest.fixture(params=[OLD, NEW])
def stripe(request: pytest.FixtureRequest) -> VirtualStripe:
    """A Stripe of both ways to write an invoice."""
    return VirtualStripe(request.param)


def come_again(office: Office, stripe: VirtualStripe) -> list[Json]:
    """Use most of a month, leave with the rest credited, and subscribe anew; returns the events of the credit."""
    held = stripe.checkout("ada", "pro_monthly")
    office.tell(stripe.events, at=START)
    assert take(office, "ada", "k1", 9_000)
    stripe.now, told = START + DAY, len(stripe.events)
    credit = {**stripe._objects.line(held, start=stripe.now, proration=True), "amount": -2_800}
    stripe._settle(held, stripe._objects.invoice(held, "subscription_update", [credit]))
    credited = stripe.events[told:]
    told = len(stripe.events)
    stripe.cancel(held, at_once=True)
    stripe.now += HOUR
    stripe.checkout("ada", "pro_monthly")
    office.tell(stripe.events[told:], at=stripe.now)
    return credited


@pytest.mark.parametrize("used", [0, 500])
@pytest.mark.parametrize("times", [1, 2])
def test_a_credit_that_is_told_late_takes_the_second_allowance_back(
    office: Office, stripe: VirtualStripe, used: int, times: int
) -> None:
    credited = come_again(office, stripe)
    assert spendable(office, "ada") == PRO, "so far nothing says that it was no new money"
    assert not used or take(office, "ada", "k2", used)
    for _ in range(times):
        office.tell(credited, at=stripe.now + 2 * DAY)
    assert spendable(office, "ada") == PRO - Amounts(9_000 + used)
    assert not tripped(office, "billing_reset_twice")
    assert set(office.states().values()) <= {State.APPLIED, State.SUPERSEDED}
    assert_whole(office.app)


def test_what_is_reserved_meanwhile_goes_back_where_it_was_taken(office: Office, stripe: VirtualStripe) -> None:
    credited = come_again(office, stripe)
    reserved = Operation("ada", "k2", Amounts(600), "test", EntryType.RESERVE)
    with transaction() as session:
        assert reservations.reserve(session, reserved, now=office.now, evaluate=lambda _: V2_SERVES).granted
    office.tell(credited, at=office.now + HOUR)
    with transaction() as session:
        reservations.release(session, "ada", "k2", now=office.now, actor="test", reason="It failed.")
    assert spendable(office, "ada") == PRO - Amounts(9_000)
    assert_whole(office.app)


def test_the_next_period_begins_where_it_would_have(office: Office, stripe: VirtualStripe) -> None:
    office.tell(come_again(office, stripe), at=stripe.now + 2 * DAY)
    told = len(stripe.events)
    stripe.pass_time(START + timedelta(days=33))
    office.tell(stripe.events[told:], at=stripe.now)
    PeriodSweep().tick(stripe.now)
    assert [start for start, _, _ in office.periods("ada")][-1] == START.replace(month=12)
    assert spendable(office, "ada") == PRO
    assert_whole(office.app)
