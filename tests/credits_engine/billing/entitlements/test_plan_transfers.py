"""Of two plans the higher goes on with what was used of it, and what was paid for of the other one is not lost."""

import pytest

from control_plane.change_context import ChangeContext
from control_plane.platform.db.database import transaction
from credits_engine.administration import corrections, usage_webhooks
from credits_engine.billing.entitlements.period_sweep import PeriodSweep
from credits_engine.engines.amounts import NOTHING, Amounts
from credits_engine.store.usage_webhooks import WEBHOOKS
from tests.credits_engine.billing.conftest import Billing
from tests.credits_engine.billing.guard_counts import tripped
from tests.credits_engine.billing.two_accounts import (
    DAY,
    HOUR,
    PRO,
    STARTER,
    V2_SERVES,
    in_packs,
    merge,
    spendable,
    take,
    two_accounts,
)
from tests.credits_engine.billing.virtual_stripe import START, VirtualStripe
from tests.credits_engine.conftest import Consumer
from tests.faults.ledger import assert_whole


def test_the_plan_moves_and_what_was_used_of_it_counts_on(billing: Billing) -> None:
    two_accounts(billing)
    assert take(billing, "ada", "k1", 9_000)
    merge(billing, "ada", "old")
    assert (billing.user("old"), billing.user("ada")) == (("pro", START), ("free", None))
    assert billing.used("old") == Amounts(9_000, 0)
    assert not take(billing, "old", "k2", 2_001), "a merge gives no second allowance"
    assert take(billing, "old", "k3", 2_000), "what is left of pro and of starter, both paid for"
    assert not take(billing, "ada", "k4", 1), "what was used stays used where it was"
    assert_whole(billing.app)


@pytest.mark.parametrize(("user_id", "into"), [("ada", "old"), ("old", "ada")])
def test_what_is_left_of_the_lesser_plan_stays_until_its_period_ends(billing: Billing, user_id: str, into: str) -> None:
    stripe = two_accounts(billing)
    assert take(billing, "ada", "k1", 9_000)
    assert take(billing, "old", "k2", 300, 3)
    merge(billing, user_id, into)
    assert spendable(billing, into) == PRO + STARTER - Amounts(9_300, 3)
    assert spendable(billing, user_id)["analysis"] == 0
    stripe.pass_time(START + 31 * DAY)
    billing.process(stripe.events, at=stripe.now)
    assert spendable(billing, into) == PRO
    assert_whole(billing.app)


def test_what_is_left_of_the_lesser_plan_goes_with_its_money(billing: Billing) -> None:
    stripe = two_accounts(billing)
    merge(billing, "ada", "old")
    _, starter = stripe.subscriptions.values()
    stripe.now = START + DAY
    stripe.refund(starter)
    billing.process(stripe.events, at=stripe.now)
    assert in_packs(billing, "old") == NOTHING
    assert billing.user("old")[0] == "pro"


def test_the_lesser_plan_is_not_granted_beside_what_was_left_of_it(billing: Billing) -> None:
    stripe = two_accounts(billing)
    merge(billing, "ada", "old")
    pro, _ = stripe.subscriptions.values()
    stripe.now = START + DAY
    stripe.refund(pro)
    stripe.cancel(pro, at_once=True)
    billing.process(stripe.events, at=stripe.now)
    assert billing.user("old")[0] == "starter"
    assert spendable(billing, "old") == STARTER


@pytest.mark.parametrize("used", [0, 60])
def test_a_period_that_was_paid_goes_on_to_its_end_in_the_other_account(billing: Billing, used: int) -> None:
    """An account that was free until then has a calendar month, into which the paid period reaches."""
    Consumer(billing.app).user("new")
    stripe = VirtualStripe()
    stripe.checkout("ada", "pro_monthly")
    billing.process(stripe.events, at=START)
    assert take(billing, "ada", "k1", 9_000)
    billing.now = START + DAY
    assert take(billing, "new", "k2", used) or not used
    PeriodSweep().tick(billing.now)
    merge(billing, "ada", "new")
    assert spendable(billing, "new") == PRO - Amounts(9_000)
    assert billing.periods("new")[-1][:2] == billing.periods("ada")[-1][:2]
    told = len(stripe.events)
    stripe.pass_time(START + 30 * DAY)
    billing.process(stripe.events[told:], at=stripe.now)
    PeriodSweep().tick(billing.now)
    assert spendable(billing, "new") == PRO
    assert_whole(billing.app)


def test_a_payment_that_opened_its_period_before_the_merge_trips_nothing(billing: Billing) -> None:
    """Ada's payment cut her calendar month; it cuts no period of the account that she becomes part of."""
    stripe = VirtualStripe(now=START - 5 * DAY)
    pro = stripe.checkout("old", "pro_monthly")
    billing.process(stripe.events, at=stripe.now)
    Consumer(billing.app).user("ada")
    billing.now = START - DAY
    assert take(billing, "ada", "k1", 50)
    stripe.now = START
    stripe.checkout("ada", "starter_monthly")
    billing.process(stripe.events, at=START)
    assert len(billing.periods("ada")) == 2
    billing.now = START + HOUR
    assert take(billing, "ada", "k2", 300)
    merge(billing, "ada", "old")
    stripe.now = START + DAY
    stripe.refund(pro)
    stripe.cancel(pro, at_once=True)
    billing.process(stripe.events, at=stripe.now)
    assert billing.user("old")[0] == "starter"
    assert not tripped(billing, "billing_reset_twice")
    assert spendable(billing, "old")["analysis"] <= 1_000
    assert_whole(billing.app)


def test_the_product_is_not_told_again_of_what_it_was_told_before_the_merge(billing: Billing) -> None:
    two_accounts(billing)
    usage_webhooks.collect(START)
    assert take(billing, "ada", "k1", 8_100)
    usage_webhooks.collect(START)
    merge(billing, "ada", "old")
    with transaction() as session:
        give = corrections.Adjustment("old", Amounts(1_000))
        corrections.adjust(session, give, ChangeContext(billing.now, "alice", "Sorry."), evaluate=lambda _: V2_SERVES)
    assert take(billing, "old", "k2", 1_000)
    usage_webhooks.collect(START)
    assert [(row["user_id"], row["percent"]) for row in billing.rows(WEBHOOKS) if row["state"] == "pending"] == [
        ("ada", 80)
    ]


def test_a_higher_plan_that_had_ended_before_raises_no_limits_of_the_other_account(billing: Billing) -> None:
    stripe = VirtualStripe()
    pro = stripe.checkout("ada", "pro_monthly")
    billing.process(stripe.events, at=START)
    stripe.now = START + 20 * DAY
    stripe.checkout("old", "starter_monthly")
    stripe.cancel(pro, at_once=True)
    billing.process(stripe.events, at=stripe.now)
    billing.now = START + 31 * DAY
    merge(billing, "ada", "old")
    assert spendable(billing, "old") == STARTER
