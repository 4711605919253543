"""What rolled over moves with a merge, and stays as long as the period that it comes from is paid for."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from control_plane.change_context import ChangeContext
from control_plane.platform.db.database import read_only, transaction
from credits_engine.billing.entitlements import period_sweep
from credits_engine.billing.inbox import merges
from credits_engine.billing.store import accounts
from credits_engine.reconciliation.journal import reconcile
from tests.credits_engine.billing.conftest import Office
from tests.credits_engine.billing.rolled_over import left_over, rolled_over, told_until
from tests.credits_engine.billing.virtual_collection import dispute
from tests.credits_engine.billing.virtual_stripe import START, VirtualStripe
from tests.credits_engine.conftest import Till
from tests.credits_engine.rolling import rolling

HOUR = timedelta(hours=1)
NEXT = START.replace(month=12)
AFTERWARDS = START.replace(year=2027, month=1)


@pytest.fixture(autouse=True)
def rule(office: Office) -> Iterator[None]:
    """60 analysis credits of `pro`, and half its limit for roasts, roll over."""
    with rolling("pro", START):
        yield
    with read_only() as session:
        assert reconcile(session).clean


@pytest.fixture
def stripe(office: Office) -> VirtualStripe:
    """Where ada has subscribed to pro, which was told at once."""
    stripe = VirtualStripe()
    stripe.checkout("ada", "pro_monthly")
    office.tell(stripe.events, at=START)
    return stripe


def merged(office: Office, user_id: str, into: str) -> None:
    with transaction() as session:
        accounts.lock_account(session, into, now=office.now, default_plan="free")
        merges.merge(session, user_id, into, ChangeContext(office.now, "alice", "One person."))


@pytest.mark.parametrize("is_late", [True, False])
def test_it_moves_with_a_merge_and_goes_with_its_money(office: Office, stripe: VirtualStripe, *, is_late: bool) -> None:
    """Also where the period had ended, and nobody had opened the next one yet."""
    if is_late:
        stripe.pass_time(NEXT + 2 * HOUR)
        office.now = NEXT + 2 * HOUR
    else:
        told_until(office, stripe, NEXT + 2 * HOUR)
    merged(office, "ada", "ann")
    assert office.user("ann")[0] == "pro"
    assert (left_over(office), left_over(office, "ann")) == ({}, {"analysis": 60, "roast": 500})
    office.tell(stripe.events, at=NEXT + 3 * HOUR)
    assert left_over(office, "ann") == {"analysis": 60, "roast": 500}
    dispute(stripe, stripe.invoices[0], "lost", NEXT)
    office.tell(stripe.events, at=NEXT + 4 * HOUR)
    assert left_over(office, "ann") == {}
    dispute(stripe, stripe.invoices[0], "won", NEXT + HOUR)
    told_until(office, stripe, AFTERWARDS + 2 * HOUR)
    assert left_over(office, "ann") == {"analysis": 60, "roast": 500}, "of December, in the account of both"


def test_of_two_periods_that_rolled_over_each_goes_with_its_own_money(office: Office, stripe: VirtualStripe) -> None:
    second = stripe.checkout("ann", "pro_monthly")
    office.tell(stripe.events, at=START)
    told_until(office, stripe, NEXT + 2 * HOUR)
    merged(office, "ada", "ann")
    of_november = [row for row in rolled_over(office, "ann") if row["kind"] == "roast" and row["remaining"] == 500]
    assert [row["merged_from"] for row in of_november] == [None, START]
    invoice = next(each for each in stripe.invoices if each["customer"] == second.customer)
    dispute(stripe, invoice, "lost", NEXT)
    office.tell(stripe.events, at=NEXT + 3 * HOUR)
    assert {row["merged_from"] for row in rolled_over(office, "ann")} == {START, NEXT}


def test_what_rolled_over_of_a_plan_that_costs_nothing_moves_as_well(office: Office, stripe: VirtualStripe) -> None:
    del stripe
    Till(office.app).user("ann", "pro")
    office.now = START
    with transaction() as session:
        accounts.lock_account(session, "ann", now=START, default_plan="free")
        accounts.lock_customer(session, "cus_ann")
        accounts.link(session, "cus_ann", "ann", now=START, by="test")
    period_sweep.PeriodSweep().tick(START)
    period_sweep.PeriodSweep().tick(NEXT + HOUR)
    office.now = NEXT + HOUR
    assert left_over(office, "ann") == {"analysis": 60, "roast": 500}
    merged(office, "ann", "ada")
    assert [row["remaining"] for row in rolled_over(office, "ada") if row["merged_from"]] == [60, 500]
