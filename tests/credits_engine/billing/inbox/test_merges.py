"""One person with two accounts: merging moves what was bought and what was used of it, and grants nothing."""

import pytest

from control_plane.change_context import ChangeContext
from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.problems import Problem
from credits_engine.administration import corrections, organisations
from credits_engine.billing.entitlements import period_sweep
from credits_engine.billing.models import AUTO_TOP_UPS, TOP_UP_ORDERS
from credits_engine.billing.store import auto_top_ups
from credits_engine.engines.amounts import NOTHING, Amounts
from credits_engine.engines.receipts import EntryType
from credits_engine.operations import reservations
from credits_engine.operations.consumption import Operation
from tests.credits_engine.billing.conftest import Billing
from tests.credits_engine.billing.two_accounts import (
    DAY,
    HOUR,
    PRO,
    V2_SERVES,
    merge,
    paid_for,
    spendable,
    take,
    two_accounts,
)
from tests.credits_engine.billing.virtual_sales import give_back, sell
from tests.credits_engine.billing.virtual_stripe import START, VirtualStripe
from tests.faults.ledger import assert_whole


def test_an_organisation_is_not_merged_away_from_under_its_members(billing: Billing) -> None:
    two_accounts(billing)
    with transaction() as session:
        change = ChangeContext(billing.now, "alice", "Hired.")
        organisations.add(session, "grace", "ada", {}, change)
    with pytest.raises(Problem) as refused:
        merge(billing, "ada", "old")
    assert refused.value.code == "HAS_MEMBERS"
    assert billing.user("ada") == ("pro", START)


def test_nobody_is_merged_into_a_member_whose_own_account_nobody_spends(billing: Billing) -> None:
    stripe = two_accounts(billing)
    stripe.checkout("acme", "plus_monthly")
    billing.process(stripe.events, at=START)
    with transaction() as session:
        organisations.add(session, "old", "acme", {}, ChangeContext(billing.now, "alice", "Hired."))
    with pytest.raises(Problem) as refused:
        merge(billing, "ada", "old")
    assert refused.value.code == "IS_MEMBER"


@pytest.mark.parametrize(("who", "reserved"), [("ada", 9_000), ("old", 900)])
def test_nobody_is_merged_while_credits_are_reserved_that_may_be_given_back(
    billing: Billing, who: str, reserved: int
) -> None:
    """Of either: old's own plan does not go on, so what was reserved of it could be given back to nothing."""
    two_accounts(billing)
    held = Operation(who, "k1", Amounts(reserved), "test", EntryType.RESERVE)
    with transaction() as session:
        assert reservations.reserve(session, held, now=billing.now, evaluate=lambda _: V2_SERVES).granted
    with pytest.raises(Problem) as refused:
        merge(billing, "ada", "old")
    assert refused.value.code == "RESERVATION_OPEN"
    with transaction() as session:
        reservations.release(session, who, "k1", now=billing.now, actor="test", reason="It failed.")
    merge(billing, "ada", "old")
    assert take(billing, "old", "k2", 11_000), "nothing was used"
    assert_whole(billing.app)


def test_metadata_that_names_the_merged_user_means_the_other_one(billing: Billing) -> None:
    stripe = VirtualStripe()
    stripe.open("cus_1", "starter_monthly", metadata={"user_id": "ada"})
    billing.process(stripe.events, at=START)
    told = len(stripe.events)
    subscription = stripe.open("cus_1", "pro_monthly", metadata={"user_id": "new"})
    billing.process(stripe.events[told:], at=START)
    assert "dead" in billing.states().values()
    sell(stripe, "new", "pack_roast_100", customer="cus_2")
    billing.process(stripe.events[-1:], at=START)
    merge(billing, "ada", "new")
    billing.work(at=START + HOUR)
    assert set(billing.states().values()) <= {"applied", "superseded"}
    assert billing.user("new")[0] == "pro"
    stripe.pass_time(subscription.end + DAY)
    billing.process(stripe.events, at=stripe.now)
    assert set(billing.states().values()) <= {"applied", "superseded"}


def test_a_chain_of_merges_ends_at_the_last(billing: Billing) -> None:
    stripe = two_accounts(billing)
    stripe.checkout("third", "starter_monthly")
    billing.process(stripe.events, at=START)
    merge(billing, "ada", "old")
    merge(billing, "old", "third")
    stripe.open("cus_ada", "plus_monthly", metadata={"user_id": "ada"})
    billing.process(stripe.events, at=START)
    assert set(billing.states().values()) <= {"applied", "superseded"}
    assert billing.user("third")[0] == "plus"


def test_nobody_is_merged_into_one_who_is_part_of_another_already(billing: Billing) -> None:
    """Metadata that names ada means old by then, so what new has would be out of reach."""
    stripe = two_accounts(billing)
    stripe.checkout("new", "starter_monthly")
    billing.process(stripe.events, at=START)
    merge(billing, "ada", "old")
    with pytest.raises(Problem) as refused:
        merge(billing, "new", "ada")
    assert refused.value.code == "MERGED_ALREADY"
    merge(billing, "old", "ada")
    merge(billing, "new", "ada")
    stripe.open("cus_new", "plus_monthly", metadata={"user_id": "old"})
    billing.process(stripe.events, at=START)
    assert billing.user("ada")[0] == "plus"


def test_a_merge_is_audited_and_refused_where_it_makes_no_sense(billing: Billing) -> None:
    two_accounts(billing)
    for user_id, into, code in (
        ("ada", "ada", "SAME_USER"),
        ("nobody", "ada", "NO_BILLING"),
        ("ada", "typo", "UNKNOWN_USER"),
    ):
        with pytest.raises(Problem) as refusal:
            merge(billing, user_id, into)
        assert refusal.value.code == code
    merge(billing, "ada", "old")
    with pytest.raises(Problem, match="no customer"):
        merge(billing, "ada", "old")
    with read_only() as session:
        assert [each.actor for each in audit.every(session) if each.action == "billing.merge"] == ["alice"]


def test_what_was_paid_for_by_an_upgrade_in_its_period_is_not_lost_by_a_merge(billing: Billing) -> None:
    stripe = VirtualStripe()
    upgraded = stripe.checkout("ada", "starter_monthly")
    stripe.checkout("old", "pro_monthly")
    stripe.pass_time(START + 3 * DAY)
    stripe.change_price(upgraded, "pro_monthly")
    billing.process(stripe.events, at=START + 3 * DAY)
    billing.now = START + 4 * DAY
    merge(billing, "ada", "old")
    assert spendable(billing, "old") == PRO + PRO


def test_there_and_back_again_is_nothing_lost_and_nothing_twice(billing: Billing) -> None:
    stripe = two_accounts(billing)
    sale = sell(stripe, "ada", "pack_analysis_100", customer="cus_ada")
    billing.process(stripe.events, at=START + HOUR)
    assert take(billing, "ada", "k1", 30)
    before = paid_for(billing, "ada") + paid_for(billing, "old")
    merge(billing, "ada", "old")
    merge(billing, "old", "ada")
    assert (paid_for(billing, "old"), paid_for(billing, "ada")) == (NOTHING, before)
    merge(billing, "ada", "old")
    assert (paid_for(billing, "ada"), paid_for(billing, "old")) == (NOTHING, before)
    stripe.now = START + 2 * HOUR
    give_back(stripe, sale)
    billing.process(stripe.events, at=stripe.now)
    assert paid_for(billing, "old") == before - Amounts(100)
    assert_whole(billing.app)


def test_whoever_is_frozen_is_not_set_free_by_a_merge(billing: Billing) -> None:
    two_accounts(billing)
    with transaction() as session:
        corrections.freeze(session, "ada", ChangeContext(billing.now, "alice", "Stolen card."))
    with pytest.raises(Problem) as refused:
        merge(billing, "ada", "old")
    assert refused.value.code == "FROZEN"


@pytest.mark.parametrize("own", [None, "pack_roast_10"])
def test_what_is_bought_by_itself_goes_on_within_its_bounds(billing: Billing, own: str | None) -> None:
    two_accounts(billing)
    wanted = {"below": 20, "per_period_max": 2, "amount_max": None, "updated_at": START, "updated_by": "ada"}
    order = {"key": "auto-1", "price": "pack_roast_100", "customer_id": "cus_ada", "state": "paid", "next_at": START}
    with transaction() as session:
        auto_top_ups.put(session, "ada", {"price": "pack_roast_100", **wanted})
        for user_id, number in (("ada", 1), ("ada", 2), ("old", 1)):
            place = {"user_id": user_id, "period_start": START, "number": number, "ordered_at": START}
            auto_top_ups.add_order(session, {**order, **place, "key": f"{user_id}{number}"})
        if own:
            auto_top_ups.put(session, "old", {"price": own, **wanted})
    merge(billing, "ada", "old")
    (row,) = billing.rows(AUTO_TOP_UPS)
    assert (row["user_id"], row["price"]) == ("old", own or "pack_roast_100")
    orders = [(each["user_id"], each["number"], each["key"]) for each in billing.rows(TOP_UP_ORDERS)]
    assert sorted(orders) == [("old", 1, "old1"), ("old", 2, "ada1"), ("old", 3, "ada2")]


def test_nothing_falls_due_any_more_of_whoever_was_merged(billing: Billing) -> None:
    """The sweep takes the longest due first: a hundred who stayed due would keep it from everybody else."""
    two_accounts(billing)
    merge(billing, "old", "ada")
    later = billing.account("old")["due_at"] + DAY
    assert period_sweep.sync_due(later) == 2
    assert billing.account("old")["due_at"] is None
    assert period_sweep.sync_due(later) == 0
    assert billing.account("ada")["due_at"] > later
