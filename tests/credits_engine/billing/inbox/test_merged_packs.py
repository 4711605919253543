"""A merge moves packs with what is left of them, and with whatever may still be taken back or put back."""

import pytest

from control_plane.change_context import ChangeContext
from control_plane.platform.db.database import transaction
from credits_engine.administration import top_ups
from credits_engine.administration.top_ups import Purchase
from credits_engine.engines.amounts import NOTHING, Amounts, Kind
from credits_engine.store.tables import PACKS
from tests.credits_engine.billing.conftest import Billing
from tests.credits_engine.billing.two_accounts import DAY, HOUR, STARTER, in_packs, merge, take, two_accounts
from tests.credits_engine.billing.virtual_sales import CENTS, give_back, sell
from tests.credits_engine.billing.virtual_stripe import START
from tests.faults.ledger import assert_whole


def test_packs_move_with_what_is_left_and_their_refunds_find_them(billing: Billing) -> None:
    stripe = two_accounts(billing)
    sale = sell(stripe, "ada", "pack_analysis_100", customer="cus_ada")
    billing.process(stripe.events, at=START + HOUR)
    assert take(billing, "ada", "k1", 10_030)
    merge(billing, "ada", "old")
    assert (in_packs(billing, "ada"), in_packs(billing, "old")) == (NOTHING, Amounts(70) + STARTER)
    stripe.now += DAY
    give_back(stripe, sale)
    billing.process(stripe.events, at=stripe.now)
    assert (in_packs(billing, "ada"), in_packs(billing, "old")) == (NOTHING, STARTER)
    assert_whole(billing.app)


def given(billing: Billing, user_id: str, amount: int, key: str | None = None) -> None:
    """Goodwill: credits that nobody paid for, and that somebody was promised."""
    purchase = Purchase(user_id, Kind("analysis"), amount, billing.now + 90 * DAY)
    with transaction() as session:
        top_ups.top_up(session, purchase, ChangeContext(billing.now, "alice", "Sorry."), key=key)


def test_goodwill_moves_and_the_order_to_give_it_stays_answered(billing: Billing) -> None:
    two_accounts(billing)
    given(billing, "ada", 40, key="ticket-7")
    merge(billing, "ada", "old")
    assert in_packs(billing, "old") == Amounts(40) + STARTER
    given(billing, "ada", 40, key="ticket-7")
    assert (in_packs(billing, "ada"), in_packs(billing, "old")) == (NOTHING, Amounts(40) + STARTER)
    assert_whole(billing.app)


@pytest.mark.parametrize("merged_first", [True, False])
def test_half_of_a_packs_money_takes_half_of_it_whenever_the_accounts_become_one(
    billing: Billing, *, merged_first: bool
) -> None:
    stripe = two_accounts(billing)
    sale = sell(stripe, "ada", "pack_analysis_100", customer="cus_ada")
    billing.process(stripe.events, at=START + HOUR)
    assert take(billing, "ada", "k1", 10_030)
    if merged_first:
        merge(billing, "ada", "old")
    give_back(stripe, sale, CENTS // 2)
    billing.process(stripe.events, at=START + 2 * HOUR)
    if not merged_first:
        merge(billing, "ada", "old")
    assert in_packs(billing, "old") == Amounts(20) + STARTER
    give_back(stripe, sale, CENTS // 2)
    billing.process(stripe.events, at=START + 3 * HOUR)
    assert in_packs(billing, "old") == Amounts(20) + STARTER
    assert_whole(billing.app)


def test_a_refund_that_fails_after_a_merge_puts_back_what_was_not_spent(billing: Billing) -> None:
    stripe = two_accounts(billing)
    sale = sell(stripe, "ada", "pack_analysis_100", customer="cus_ada")
    billing.process(stripe.events, at=START + HOUR)
    assert take(billing, "ada", "k1", 10_030)
    stripe.now = START + HOUR
    give_back(stripe, sale)
    billing.process(stripe.events, at=START + 2 * HOUR)
    merge(billing, "ada", "old")
    assert in_packs(billing, "old") == STARTER
    refund = {"id": "re_1", "object": "refund", "amount": CENTS, "charge": f"ch_{sale['payment_intent']}"}
    stripe.now = START + 3 * HOUR
    stripe._send("refund.failed", {**refund, "payment_intent": sale["payment_intent"], "status": "failed"})
    billing.process(stripe.events, at=stripe.now)
    assert in_packs(billing, "old") == Amounts(70) + STARTER
    assert_whole(billing.app)


def test_a_pack_that_somebody_ended_is_not_brought_back_by_a_merge(billing: Billing) -> None:
    stripe = two_accounts(billing)
    sell(stripe, "ada", "pack_analysis_100", customer="cus_ada")
    billing.process(stripe.events, at=START + HOUR)
    with transaction() as session:
        top_ups.revoke(session, billing.rows(PACKS)[0]["id"], ChangeContext(billing.now, "alice", "Sold by mistake."))
    merge(billing, "ada", "old")
    assert in_packs(billing, "old") == STARTER
