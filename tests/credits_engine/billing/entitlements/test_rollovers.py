"""What rolled over from a period that is sold stays while all of that period is paid for, in whatever order told."""

import random
from datetime import datetime, timedelta

import pytest

from control_plane.platform.db.database import transaction
from credits_engine.billing.entitlements import period_sweep
from credits_engine.billing.store import accounts
from credits_engine.engines.amounts import Amounts, Limits
from credits_engine.engines.decisions import Outcome
from credits_engine.engines.receipts import EntryType, Receipt
from credits_engine.operations import reservations
from credits_engine.operations.consumption import FlagEvaluation, Operation, consume
from credits_engine.store.tables import COUNTERS, PACKS
from tests.credits_engine.billing.conftest import Billing
from tests.credits_engine.billing.rolled_over import held, left_over, process_until
from tests.credits_engine.billing.two_accounts import spendable
from tests.credits_engine.billing.virtual_collection import dispute, refund_fails
from tests.credits_engine.billing.virtual_stripe import START, VirtualStripe
from tests.credits_engine.conftest import Consumer

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NEXT = START.replace(month=12)
AFTERWARDS = START.replace(year=2027, month=1)
V2_SERVES = FlagEvaluation(enabled=True, reason="test", revision=1)


pytestmark = pytest.mark.usefixtures("rollover_of_pro")


def take(at: datetime, key: str, analysis: int) -> Receipt:
    operation = Operation("ada", key, Amounts(analysis), actor="test")
    with transaction() as session:
        return consume(session, operation, now=at, evaluate=lambda _: V2_SERVES)


@pytest.mark.parametrize("by", ["event", "sweep", "operation"])
def test_whichever_opens_the_next_period_rolls_over_once(billing: Billing, stripe: VirtualStripe, by: str) -> None:
    take(START + DAY, "k1", 9_990)
    if by == "sweep":
        period_sweep.PeriodSweep().tick(NEXT + HOUR)
    if by == "operation":
        assert take(NEXT + HOUR, "k2", 10_005).spent_from_packs == Amounts(5)
    process_until(billing, stripe, NEXT + 2 * HOUR)
    period_sweep.PeriodSweep().tick(NEXT + 3 * HOUR)
    assert left_over(billing) == {"analysis": 5 if by == "operation" else 10, "roast": 500}
    assert len(billing.rows(PACKS)) == 2


def test_a_refund_takes_it_back_and_one_that_fails_puts_it_back(billing: Billing, stripe: VirtualStripe) -> None:
    first_invoice = held(stripe).last_invoice
    assert first_invoice
    assert take(NEXT, "k1", 10_010).spent_from_packs == Amounts(10)
    stripe.now = NEXT + HOUR
    stripe.refund(held(stripe))
    billing.process(stripe.events, at=NEXT + HOUR)
    assert left_over(billing) == {}
    assert take(NEXT + HOUR, "k2", 1).outcome is not Outcome.ALLOWED
    stripe.now = NEXT + 2 * HOUR
    refund_fails(stripe, held(stripe), first_invoice["total"])
    billing.process(stripe.events, at=NEXT + 2 * HOUR)
    assert left_over(billing) == {"analysis": 50, "roast": 500}, "what was spent stays spent"
    assert {row["expires_at"] for row in billing.rows(PACKS) if row["kind"] == "analysis"} == {AFTERWARDS}


def test_a_lost_dispute_takes_it_back(billing: Billing, stripe: VirtualStripe) -> None:
    first_invoice = held(stripe).last_invoice
    assert first_invoice
    process_until(billing, stripe, NEXT + 2 * HOUR)
    assert left_over(billing) == {"analysis": 60, "roast": 500}
    stripe.now = NEXT + DAY
    dispute(stripe, first_invoice, "lost", NEXT)
    billing.process(stripe.events, at=stripe.now)
    assert left_over(billing) == {}


def test_what_is_reserved_of_it_when_it_is_taken_back_comes_back_to_nobody(
    billing: Billing, stripe: VirtualStripe
) -> None:
    process_until(billing, stripe, NEXT + 2 * HOUR)
    operation = Operation("ada", "k1", Amounts(10_060), "test", EntryType.RESERVE)
    now = NEXT + 3 * HOUR
    with transaction() as session:
        reservations.reserve(session, operation, now=now, evaluate=lambda _: V2_SERVES)
    first_invoice = stripe.invoices[0]
    dispute(stripe, first_invoice, "lost", NEXT)
    billing.process(stripe.events, at=now)
    with transaction() as session:
        reservations.release(session, "ada", "k1", now=now, actor="test", reason="Not needed.")
    assert left_over(billing) == {}
    assert take(now + HOUR, "k2", 10_001).outcome is Outcome.DENIED_LIMIT


def test_an_unpaid_period_leaves_nothing_until_its_payment_comes(billing: Billing, stripe: VirtualStripe) -> None:
    """Stripe tries again for weeks, and whoever is sent an invoice has a month to pay it."""
    subscription = held(stripe)
    stripe.pass_time(NEXT - HOUR)
    subscription.card_works = False
    stripe.pass_time(NEXT + 2 * HOUR)
    unpaid = subscription.open_invoice
    billing.process(stripe.events, at=NEXT + 2 * HOUR)
    assert left_over(billing) == {"analysis": 60, "roast": 500}, "November was paid for"
    told = len(stripe.events)
    subscription.open_invoice = None
    subscription.card_works = True
    stripe.pass_time(AFTERWARDS + 2 * HOUR)
    billing.process(stripe.events[told:], at=AFTERWARDS + 2 * HOUR)
    roasts = {row["rolled_from"]: row["remaining"] for row in billing.rows(PACKS) if row["kind"] == "roast"}
    assert roasts[NEXT] == 0
    told = len(stripe.events)
    assert unpaid
    stripe._settle(subscription, unpaid)
    billing.process(stripe.events[told:], at=AFTERWARDS + 3 * HOUR)
    assert left_over(billing)["roast"] == 500


def test_a_dearer_plan_within_the_period_leaves_nothing(billing: Billing) -> None:
    stripe = VirtualStripe()
    subscription = stripe.checkout("ada", "starter_monthly")
    stripe.now = START + 20 * DAY
    stripe.change_price(subscription, "pro_monthly")
    process_until(billing, stripe, NEXT + 2 * HOUR)
    assert billing.rows(PACKS) == []
    process_until(billing, stripe, AFTERWARDS + 2 * HOUR)
    assert left_over(billing) == {"analysis": 60, "roast": 500}


def test_a_dearer_plan_from_the_start_that_is_told_later_leaves_what_it_has(billing: Billing) -> None:
    stripe = VirtualStripe()
    subscription = stripe.checkout("ada", "starter_monthly")
    process_until(billing, stripe, NEXT - HOUR)
    subscription.price = "pro_monthly"
    stripe.pass_time(NEXT + HOUR)
    period_sweep.PeriodSweep().tick(NEXT + HOUR)
    billing.process(stripe.events, at=NEXT + 2 * HOUR)
    process_until(billing, stripe, AFTERWARDS + 2 * HOUR)
    assert left_over(billing) == {"analysis": 60, "roast": 500}


@pytest.mark.parametrize("move_anchor", [True, False])
def test_a_dearer_plan_after_it_rolled_over_counts_beside_it(
    billing: Billing, stripe: VirtualStripe, *, move_anchor: bool
) -> None:
    """Both are paid for: the period that it comes from, and the plan from now on."""
    process_until(billing, stripe, NEXT + 2 * HOUR)
    take(NEXT + 2 * HOUR, "k1", 4_000)
    stripe.now, told = NEXT + DAY, len(stripe.events)
    stripe.change_price(held(stripe), "plus_monthly", move_anchor=move_anchor)
    billing.process(stripe.events[told:], at=stripe.now)
    assert billing.user("ada")[0] == "plus"
    used = Amounts(0 if move_anchor else 4_000)
    assert spendable(billing, "ada") == Amounts(100_060, 5_500) - used
    told = len(stripe.events)
    stripe.refund(held(stripe))
    billing.process(stripe.events[told:], at=stripe.now + HOUR)
    assert left_over(billing) == {"analysis": 60, "roast": 500}, "the money of December is not that of November"


def test_a_dearer_plan_told_after_the_period_rolled_over_leaves_nothing_twice(
    billing: Billing, stripe: VirtualStripe
) -> None:
    take(START + DAY, "k1", 9_990)
    stripe.now = NEXT - DAY
    stripe.change_price(held(stripe), "plus_monthly")
    late, told = stripe.events[-1:], len(stripe.events)
    stripe.pass_time(NEXT + HOUR)
    period_sweep.PeriodSweep().tick(NEXT + HOUR)
    billing.now = NEXT + HOUR
    assert left_over(billing) == {"analysis": 10, "roast": 500}
    billing.process([*stripe.events, *late], at=NEXT + 2 * HOUR)
    (ended,) = [row for row in billing.rows(COUNTERS, user_id="ada") if row["period_start"] == START]
    assert (ended["plan"], ended["limits"]) == ("plus", Limits(100_000 - 10, 5_000 - 500))
    assert told
    assert left_over(billing) == {}, "its period had two plans"


def test_whoever_leaves_at_the_end_keeps_what_was_paid_for(billing: Billing, stripe: VirtualStripe) -> None:
    stripe.now = START + DAY
    stripe.cancel(held(stripe))
    process_until(billing, stripe, NEXT + 2 * HOUR)
    assert billing.user("ada")[0] == "free"
    assert left_over(billing) == {"analysis": 60, "roast": 500}


def test_whoever_leaves_at_once_with_the_rest_given_back_leaves_it_behind(
    billing: Billing, stripe: VirtualStripe
) -> None:
    stripe.now = START + 20 * DAY
    stripe.refund(held(stripe), 0.3)
    stripe.cancel(held(stripe), at_once=True)
    process_until(billing, stripe, NEXT + 2 * HOUR)
    assert left_over(billing) == {}


def test_a_plan_that_the_directory_gives_a_customer_leaves_what_it_has(billing: Billing) -> None:
    """They have bought a pack before, perhaps, so billing knows them; the plan was never sold."""
    with transaction() as session:
        accounts.lock_account(session, "ada", now=START, default_plan="free")
    Consumer(billing.app).user("ada", "pro")
    take(START.replace(day=1) + DAY, "k1", 1)
    period_sweep.PeriodSweep().tick(NEXT + HOUR)
    billing.now = NEXT + HOUR
    assert left_over(billing) == {"analysis": 60, "roast": 500}


def test_neither_order_nor_number_of_deliveries_matters(billing: Billing) -> None:
    found = set()
    for seed in range(6):
        stripe = VirtualStripe(name=f"u{seed}")
        subscription = stripe.checkout(f"u{seed}", "pro_monthly")
        billing.process(stripe.events, at=START)
        told = len(stripe.events)
        stripe.pass_time(NEXT + HOUR)
        dispute(stripe, stripe.invoices[0], "lost", NEXT)
        dispute(stripe, stripe.invoices[1], "lost", NEXT)
        dispute(stripe, stripe.invoices[1], "won", NEXT + HOUR)
        late = stripe.events[told:] * 2
        random.Random(seed).shuffle(late)
        billing.process(late, at=NEXT + 2 * HOUR)
        rows = billing.rows(PACKS, user_id=f"u{seed}")
        found.add(tuple(sorted((row["kind"], row["amount"], row["remaining"]) for row in rows)))
        assert subscription.status == "active"
    assert found == {(("analysis", 60, 0), ("roast", 500, 0))}
