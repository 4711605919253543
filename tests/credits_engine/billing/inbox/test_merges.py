"""One person with two accounts: merging moves what was bought and what was used of it, and grants nothing."""

from datetime import timedelta

import pytest

from control_plane.change_context import ChangeContext
from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.problems import Problem
from credits_engine.administration import organisations
from credits_engine.billing.inbox import merges
from credits_engine.engines.amounts import Amounts
from credits_engine.engines.receipts import EntryType
from credits_engine.operations import reservations
from credits_engine.operations.consumption import FlagEvaluation, Operation, consume
from credits_engine.store.tables import PACKS
from tests.credits_engine.billing.conftest import Billing
from tests.credits_engine.billing.virtual_sales import give_back, sell
from tests.credits_engine.billing.virtual_stripe import START, VirtualStripe
from tests.faults.ledger import assert_whole

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
V2_SERVES = FlagEvaluation(enabled=True, reason="test", revision=1)


def take(billing: Billing, user_id: str, key: str, analysis: int = 0, roast: int = 0) -> bool:
    operation = Operation(user_id, key, Amounts(analysis, roast), actor="test")
    with transaction() as session:
        return consume(session, operation, now=billing.now, evaluate=lambda _: V2_SERVES).granted


def merge(billing: Billing, user_id: str, into: str) -> list[str]:
    with transaction() as session:
        return merges.merge(session, user_id, into, ChangeContext(billing.now, "alice", "One person."))


def two_accounts(billing: Billing) -> VirtualStripe:
    """ada pays for pro, and old ada bought starter once."""
    stripe = VirtualStripe()
    stripe.checkout("ada", "pro_monthly")
    stripe.checkout("old", "starter_monthly")
    billing.process(stripe.events, at=START)
    return stripe


def test_the_plan_moves_and_what_was_used_of_it_counts_on(billing: Billing) -> None:
    two_accounts(billing)
    assert take(billing, "ada", "k1", 9_000)
    merge(billing, "ada", "old")
    assert (billing.user("old"), billing.user("ada")) == (("pro", START), ("free", None))
    assert billing.used("old") == Amounts(9_000, 0)
    assert not take(billing, "old", "k2", 1_001), "a merge gives no second allowance"
    assert take(billing, "old", "k3", 1_000)
    assert not take(billing, "ada", "k4", 1), "what was used stays used where it was"
    assert_whole(billing.app)


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


def test_nobody_is_merged_while_credits_are_reserved_that_may_be_given_back(billing: Billing) -> None:
    two_accounts(billing)
    reserved = Operation("ada", "k1", Amounts(9_000), "test", EntryType.RESERVE)
    with transaction() as session:
        assert reservations.reserve(session, reserved, now=billing.now, evaluate=lambda _: V2_SERVES).granted
    with pytest.raises(Problem) as refused:
        merge(billing, "ada", "old")
    assert refused.value.code == "RESERVATION_OPEN"
    with transaction() as session:
        reservations.release(session, "ada", "k1", now=billing.now, actor="test", reason="It failed.")
    merge(billing, "ada", "old")
    assert take(billing, "old", "k2", 10_000), "nothing was used"
    assert_whole(billing.app)


def test_packs_move_with_what_is_left_and_their_refunds_find_them(billing: Billing) -> None:
    stripe = two_accounts(billing)
    sale = sell(stripe, "ada", "pack_analysis_100", customer="cus_ada")
    billing.process(stripe.events, at=START + HOUR)
    assert take(billing, "ada", "k1", 10_030)
    merge(billing, "ada", "old")
    left = {row["user_id"]: row["remaining"] for row in billing.rows(PACKS)}
    assert left == {"ada": 0, "old": 70}
    stripe.now += DAY
    give_back(stripe, sale)
    billing.process(stripe.events, at=stripe.now)
    assert {row["user_id"]: row["remaining"] for row in billing.rows(PACKS)} == {"ada": 0, "old": 0}
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
