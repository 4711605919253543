"""A merge moves packs with what is left of them, and with whatever may still be taken back or put back."""

import pytest

from control_plane.change_context import ChangeContext
from control_plane.platform.db.database import transaction
from credits_engine.administration import top_ups
from credits_engine.administration.top_ups import Purchase
from credits_engine.engines.amounts import NOTHING, Amounts, Kind
from credits_engine.store.tables import PACKS
from tests.credits_engine.billing.conftest import Office
from tests.credits_engine.billing.two_accounts import DAY, HOUR, STARTER, in_packs, merge, take, two_accounts
from tests.credits_engine.billing.virtual_shop import CENTS, give_back, sell
from tests.credits_engine.billing.virtual_stripe import START
from tests.faults.ledger import assert_whole


def test_packs_move_with_what_is_left_and_their_refunds_find_them(office: Office) -> None:
    stripe = two_accounts(office)
    sale = sell(stripe, "ada", "pack_analysis_100", customer="cus_ada")
    office.tell(stripe.events, at=START + HOUR)
    assert take(office, "ada", "k1", 10_030)
    merge(office, "ada", "old")
    assert (in_packs(office, "ada"), in_packs(office, "old")) == (NOTHING, Amounts(70) + STARTER)
    stripe.now += DAY
    give_back(stripe, sale)
    office.tell(stripe.events, at=stripe.now)
    assert (in_packs(office, "ada"), in_packs(office, "old")) == (NOTHING, STARTER)
    assert_whole(office.app)


def given(office: Office, user_id: str, amount: int, key: str | None = None) -> None:
    """Goodwill: credits that nobody paid for, and that somebody was promised."""
    purchase = Purchase(user_id, Kind("analysis"), amount, office.now + 90 * DAY)
    with transaction() as session:
        top_ups.top_up(session, purchase, ChangeContext(office.now, "alice", "Sorry."), key=key)


def test_goodwill_moves_and_the_order_to_give_it_stays_answered(office: Office) -> None:
    two_accounts(office)
    given(office, "ada", 40, key="ticket-7")
    merge(office, "ada", "old")
    assert in_packs(office, "old") == Amounts(40) + STARTER
    given(office, "ada", 40, key="ticket-7")
    assert (in_packs(office, "ada"), in_packs(office, "old")) == (NOTHING, Amounts(40) + STARTER)
    assert_whole(office.app)


@pytest.mark.parametrize("merged_first", [True, False])
def test_half_of_a_packs_money_takes_half_of_it_whenever_the_accounts_become_one(
    office: Office, *, merged_first: bool
) -> None:
    stripe = two_accounts(office)
    sale = sell(stripe, "ada", "pack_analysis_100", customer="cus_ada")
    office.tell(stripe.events, at=START + HOUR)
    assert take(office, "ada", "k1", 10_030)
    if merged_first:
        merge(office, "ada", "old")
    give_back(stripe, sale, CENTS // 2)
    office.tell(stripe.events, at=START + 2 * HOUR)
    if not merged_first:
        merge(office, "ada", "old")
    assert in_packs(office, "old") == Amounts(20) + STARTER
    give_back(stripe, sale, CENTS // 2)
    office.tell(stripe.events, at=START + 3 * HOUR)
    assert in_packs(office, "old") == Amounts(20) + STARTER
    assert_whole(office.app)


def test_a_refund_that_fails_after_a_merge_puts_back_what_was_not_spent(office: Office) -> None:
    stripe = two_accounts(office)
    sale = sell(stripe, "ada", "pack_analysis_100", customer="cus_ada")
    office.tell(stripe.events, at=START + HOUR)
    assert take(office, "ada", "k1", 10_030)
    stripe.now = START + HOUR
    give_back(stripe, sale)
    office.tell(stripe.events, at=START + 2 * HOUR)
    merge(office, "ada", "old")
    assert in_packs(office, "old") == STARTER
    refund = {"id": "re_1", "object": "refund", "amount": CENTS, "charge": f"ch_{sale['payment_intent']}"}
    stripe.now = START + 3 * HOUR
    stripe._send("refund.failed", {**refund, "payment_intent": sale["payment_intent"], "status": "failed"})
    office.tell(stripe.events, at=stripe.now)
    assert in_packs(office, "old") == Amounts(70) + STARTER
    assert_whole(office.app)


def test_a_pack_that_somebody_ended_is_not_brought_back_by_a_merge(office: Office) -> None:
    stripe = two_accounts(office)
    sell(stripe, "ada", "pack_analysis_100", customer="cus_ada")
    office.tell(stripe.events, at=START + HOUR)
    with transaction() as session:
        top_ups.revoke(session, office.rows(PACKS)[0]["id"], ChangeContext(office.now, "alice", "Sold by mistake."))
    merge(office, "ada", "old")
    assert in_packs(office, "old") == STARTER
