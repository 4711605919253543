"""What rolled over moves with a merge, and stays as long as the period that it comes from is paid for."""

from datetime import timedelta

import pytest

from control_plane.change_context import ChangeContext
from control_plane.platform.db.database import transaction
from credits_engine.billing.entitlements import period_sweep
from credits_engine.billing.inbox import merges
from credits_engine.billing.store import accounts
from tests.credits_engine.billing.conftest import Billing
from tests.credits_engine.billing.rolled_over import left_over, process_until, rolled_over
from tests.credits_engine.billing.virtual_collection import dispute
from tests.credits_engine.billing.virtual_stripe import START, VirtualStripe
from tests.credits_engine.conftest import Consumer

HOUR = timedelta(hours=1)
NEXT = START.replace(month=12)
AFTERWARDS = START.replace(year=2027, month=1)


pytestmark = pytest.mark.usefixtures("rollover_of_pro")


def merged(billing: Billing, user_id: str, into: str) -> None:
    with transaction() as session:
        accounts.lock_account(session, into, now=billing.now, default_plan="free")
        merges.merge(session, user_id, into, ChangeContext(billing.now, "alice", "One person."))


@pytest.mark.parametrize("is_late", [True, False])
def test_it_moves_and_goes_with_its_money(billing: Billing, stripe: VirtualStripe, *, is_late: bool) -> None:
    """Also where the period had ended, and nobody had opened the next one yet."""
    if is_late:
        stripe.pass_time(NEXT + 2 * HOUR)
        billing.now = NEXT + 2 * HOUR
    else:
        process_until(billing, stripe, NEXT + 2 * HOUR)
    merged(billing, "ada", "ann")
    assert billing.user("ann")[0] == "pro"
    assert (left_over(billing), left_over(billing, "ann")) == ({}, {"analysis": 60, "roast": 500})
    billing.process(stripe.events, at=NEXT + 3 * HOUR)
    assert left_over(billing, "ann") == {"analysis": 60, "roast": 500}
    dispute(stripe, stripe.invoices[0], "lost", NEXT)
    billing.process(stripe.events, at=NEXT + 4 * HOUR)
    assert left_over(billing, "ann") == {}
    dispute(stripe, stripe.invoices[0], "won", NEXT + HOUR)
    process_until(billing, stripe, AFTERWARDS + 2 * HOUR)
    assert left_over(billing, "ann") == {"analysis": 60, "roast": 500}, "of December, in the account of both"


def test_of_two_periods_that_rolled_over_each_goes_with_its_own_money(billing: Billing, stripe: VirtualStripe) -> None:
    second = stripe.checkout("ann", "pro_monthly")
    billing.process(stripe.events, at=START)
    process_until(billing, stripe, NEXT + 2 * HOUR)
    merged(billing, "ada", "ann")
    of_november = [row for row in rolled_over(billing, "ann") if row["kind"] == "roast" and row["remaining"] == 500]
    assert [row["merged_from"] for row in of_november] == [None, START]
    invoice = next(each for each in stripe.invoices if each["customer"] == second.customer)
    dispute(stripe, invoice, "lost", NEXT)
    billing.process(stripe.events, at=NEXT + 3 * HOUR)
    assert {row["merged_from"] for row in rolled_over(billing, "ann")} == {START, NEXT}


def test_what_rolled_over_of_a_plan_that_costs_nothing_moves_as_well(billing: Billing, stripe: VirtualStripe) -> None:
    del stripe
    Consumer(billing.app).user("ann", "pro")
    billing.now = START
    with transaction() as session:
        accounts.lock_account(session, "ann", now=START, default_plan="free")
        accounts.lock_customer(session, "cus_ann")
        accounts.link(session, "cus_ann", "ann", now=START, by="test")
    period_sweep.PeriodSweep().tick(START)
    period_sweep.PeriodSweep().tick(NEXT + HOUR)
    billing.now = NEXT + HOUR
    assert left_over(billing, "ann") == {"analysis": 60, "roast": 500}
    merged(billing, "ann", "ada")
    assert [row["remaining"] for row in rolled_over(billing, "ada") if row["merged_from"]] == [60, 500]
