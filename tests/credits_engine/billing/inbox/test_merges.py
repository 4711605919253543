"""One person with two accounts: merging moves what was bought and what was used of it, and grants nothing."""

from datetime import timedelta

import pytest

from control_plane.change_context import ChangeContext
from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.problems import Problem
from credits_engine.administration import corrections, organisations, top_ups, usage_webhooks
from credits_engine.administration.top_ups import Purchase
from credits_engine.billing.entitlements.period_sweep import PeriodSweep
from credits_engine.billing.inbox import merges
from credits_engine.billing.models import AUTO_TOP_UPS, TOP_UP_ORDERS
from credits_engine.billing.store import auto_top_ups
from credits_engine.engines.amounts import NOTHING, Amounts, Kind
from credits_engine.engines.receipts import EntryType
from credits_engine.operations import reservations
from credits_engine.operations.consumption import FlagEvaluation, Operation, consume
from credits_engine.store.tables import PACKS
from credits_engine.store.usage_webhooks import WEBHOOKS
from tests.credits_engine.billing.conftest import Office
from tests.credits_engine.billing.guard_counts import tripped
from tests.credits_engine.billing.spendable import in_packs, paid_for, spendable
from tests.credits_engine.billing.virtual_shop import CENTS, give_back, sell
from tests.credits_engine.billing.virtual_stripe import START, VirtualStripe
from tests.credits_engine.conftest import Till
from tests.faults.ledger import assert_whole

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
PRO, STARTER = Amounts(10_000, 1_000), Amounts(1_000, 10)
V2_SERVES = FlagEvaluation(enabled=True, reason="test", revision=1)


def take(office: Office, user_id: str, key: str, analysis: int = 0, roast: int = 0) -> bool:
    operation = Operation(user_id, key, Amounts(analysis, roast), actor="test")
    with transaction() as session:
        return consume(session, operation, now=office.now, evaluate=lambda _: V2_SERVES).granted


def merge(office: Office, user_id: str, into: str) -> list[str]:
    with transaction() as session:
        return merges.merge(session, user_id, into, ChangeContext(office.now, "alice", "One person."))


def two_accounts(office: Office) -> VirtualStripe:
    """ada pays for pro, and old ada bought starter once."""
    stripe = VirtualStripe()
    stripe.checkout("ada", "pro_monthly")
    stripe.checkout("old", "starter_monthly")
    office.tell(stripe.events, at=START)
    return stripe


def test_the_plan_moves_and_what_was_used_of_it_counts_on(office: Office) -> None:
    two_accounts(office)
    assert take(office, "ada", "k1", 9_000)
    merge(office, "ada", "old")
    assert (office.user("old"), office.user("ada")) == (("pro", START), ("free", None))
    assert office.used("old") == Amounts(9_000, 0)
    assert not take(office, "old", "k2", 2_001), "a merge gives no second allowance"
    assert take(office, "old", "k3", 2_000), "what is left of pro and of starter, both paid for"
    assert not take(office, "ada", "k4", 1), "what was used stays used where it was"
    assert_whole(office.app)


def test_an_organisation_is_not_merged_away_from_under_its_members(office: Office) -> None:
    two_accounts(office)
    with transaction() as session:
        change = ChangeContext(office.now, "alice", "Hired.")
        organisations.add(session, "grace", "ada", {}, change)
    with pytest.raises(Problem) as refused:
        merge(office, "ada", "old")
    assert refused.value.code == "HAS_MEMBERS"
    assert office.user("ada") == ("pro", START)


def test_nobody_is_merged_into_a_member_whose_own_account_nobody_spends(office: Office) -> None:
    stripe = two_accounts(office)
    stripe.checkout("acme", "plus_monthly")
    office.tell(stripe.events, at=START)
    with transaction() as session:
        organisations.add(session, "old", "acme", {}, ChangeContext(office.now, "alice", "Hired."))
    with pytest.raises(Problem) as refused:
        merge(office, "ada", "old")
    assert refused.value.code == "IS_MEMBER"


def test_nobody_is_merged_while_credits_are_reserved_that_may_be_given_back(office: Office) -> None:
    two_accounts(office)
    reserved = Operation("ada", "k1", Amounts(9_000), "test", EntryType.RESERVE)
    with transaction() as session:
        assert reservations.reserve(session, reserved, now=office.now, evaluate=lambda _: V2_SERVES).granted
    with pytest.raises(Problem) as refused:
        merge(office, "ada", "old")
    assert refused.value.code == "RESERVATION_OPEN"
    with transaction() as session:
        reservations.release(session, "ada", "k1", now=office.now, actor="test", reason="It failed.")
    merge(office, "ada", "old")
    assert take(office, "old", "k2", 11_000), "nothing was used"
    assert_whole(office.app)


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


def test_metadata_that_names_the_merged_user_means_the_other_one(office: Office) -> None:
    stripe = VirtualStripe()
    stripe.open("cus_1", "starter_monthly", metadata={"user_id": "ada"})
    office.tell(stripe.events, at=START)
    told = len(stripe.events)
    subscription = stripe.open("cus_1", "pro_monthly", metadata={"user_id": "new"})
    office.tell(stripe.events[told:], at=START)
    assert "dead" in office.states().values()
    sell(stripe, "new", "pack_roast_100", customer="cus_2")
    office.tell(stripe.events[-1:], at=START)
    merge(office, "ada", "new")
    office.work(at=START + HOUR)
    assert set(office.states().values()) <= {"applied", "superseded"}
    assert office.user("new")[0] == "pro"
    stripe.pass_time(subscription.end + DAY)
    office.tell(stripe.events, at=stripe.now)
    assert set(office.states().values()) <= {"applied", "superseded"}


def test_a_chain_of_merges_ends_at_the_last(office: Office) -> None:
    stripe = two_accounts(office)
    stripe.checkout("third", "starter_monthly")
    office.tell(stripe.events, at=START)
    merge(office, "ada", "old")
    merge(office, "old", "third")
    stripe.open("cus_ada", "plus_monthly", metadata={"user_id": "ada"})
    office.tell(stripe.events, at=START)
    assert set(office.states().values()) <= {"applied", "superseded"}
    assert office.user("third")[0] == "plus"


def test_a_merge_is_audited_and_refused_where_it_makes_no_sense(office: Office) -> None:
    two_accounts(office)
    for user_id, into, code in (
        ("ada", "ada", "SAME_USER"),
        ("nobody", "ada", "NO_BILLING"),
        ("ada", "typo", "UNKNOWN_USER"),
    ):
        with pytest.raises(Problem) as refusal:
            merge(office, user_id, into)
        assert refusal.value.code == code
    merge(office, "ada", "old")
    with pytest.raises(Problem, match="no customer"):
        merge(office, "ada", "old")
    with read_only() as session:
        assert [each.actor for each in audit.every(session) if each.action == "billing.merge"] == ["alice"]


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


def test_there_and_back_again_is_nothing_lost_and_nothing_twice(office: Office) -> None:
    stripe = two_accounts(office)
    sale = sell(stripe, "ada", "pack_analysis_100", customer="cus_ada")
    office.tell(stripe.events, at=START + HOUR)
    assert take(office, "ada", "k1", 30)
    before = paid_for(office, "ada") + paid_for(office, "old")
    merge(office, "ada", "old")
    merge(office, "old", "ada")
    assert (paid_for(office, "old"), paid_for(office, "ada")) == (NOTHING, before)
    merge(office, "ada", "old")
    assert (paid_for(office, "ada"), paid_for(office, "old")) == (NOTHING, before)
    stripe.now = START + 2 * HOUR
    give_back(stripe, sale)
    office.tell(stripe.events, at=stripe.now)
    assert paid_for(office, "old") == before - Amounts(100)
    assert_whole(office.app)


@pytest.mark.parametrize(("user_id", "into"), [("ada", "old"), ("old", "ada")])
def test_what_is_left_of_the_lesser_plan_stays_until_its_period_ends(office: Office, user_id: str, into: str) -> None:
    stripe = two_accounts(office)
    assert take(office, "ada", "k1", 9_000)
    assert take(office, "old", "k2", 300, 3)
    merge(office, user_id, into)
    assert spendable(office, into) == PRO + STARTER - Amounts(9_300, 3)
    assert spendable(office, user_id)["analysis"] == 0
    stripe.pass_time(START + 31 * DAY)
    office.tell(stripe.events, at=stripe.now)
    assert spendable(office, into) == PRO
    assert_whole(office.app)


def test_what_is_left_of_the_lesser_plan_goes_with_its_money(office: Office) -> None:
    stripe = two_accounts(office)
    merge(office, "ada", "old")
    _, starter = stripe.subscriptions.values()
    stripe.now = START + DAY
    stripe.refund(starter)
    office.tell(stripe.events, at=stripe.now)
    assert in_packs(office, "old") == NOTHING
    assert office.user("old")[0] == "pro"


def test_the_lesser_plan_is_not_granted_beside_what_was_left_of_it(office: Office) -> None:
    stripe = two_accounts(office)
    merge(office, "ada", "old")
    pro, _ = stripe.subscriptions.values()
    stripe.now = START + DAY
    stripe.refund(pro)
    stripe.cancel(pro, at_once=True)
    office.tell(stripe.events, at=stripe.now)
    assert office.user("old")[0] == "starter"
    assert spendable(office, "old") == STARTER


@pytest.mark.parametrize("used", [0, 60])
def test_a_period_that_was_paid_goes_on_to_its_end_in_the_other_account(office: Office, used: int) -> None:
    """Who was free until then has a calendar month, into which the paid period reaches."""
    Till(office.app).user("new")
    stripe = VirtualStripe()
    stripe.checkout("ada", "pro_monthly")
    office.tell(stripe.events, at=START)
    assert take(office, "ada", "k1", 9_000)
    office.now = START + DAY
    assert take(office, "new", "k2", used) or not used
    PeriodSweep().tick(office.now)
    merge(office, "ada", "new")
    assert spendable(office, "new") == PRO - Amounts(9_000)
    assert office.periods("new")[-1][:2] == office.periods("ada")[-1][:2]
    told = len(stripe.events)
    stripe.pass_time(START + 30 * DAY)
    office.tell(stripe.events[told:], at=stripe.now)
    PeriodSweep().tick(office.now)
    assert spendable(office, "new") == PRO
    assert_whole(office.app)


def test_a_payment_that_opened_its_period_before_the_merge_trips_nothing(office: Office) -> None:
    """Ada's payment cut her calendar month; it cuts no period of the account that she becomes part of."""
    stripe = VirtualStripe(now=START - 5 * DAY)
    pro = stripe.checkout("old", "pro_monthly")
    office.tell(stripe.events, at=stripe.now)
    Till(office.app).user("ada")
    office.now = START - DAY
    assert take(office, "ada", "k1", 50)
    stripe.now = START
    stripe.checkout("ada", "starter_monthly")
    office.tell(stripe.events, at=START)
    assert len(office.periods("ada")) == 2
    office.now = START + HOUR
    assert take(office, "ada", "k2", 300)
    merge(office, "ada", "old")
    stripe.now = START + DAY
    stripe.refund(pro)
    stripe.cancel(pro, at_once=True)
    office.tell(stripe.events, at=stripe.now)
    assert office.user("old")[0] == "starter"
    assert not tripped(office, "billing_reset_twice")
    assert spendable(office, "old")["analysis"] <= 1_000
    assert_whole(office.app)


def test_whoever_is_frozen_is_not_set_free_by_a_merge(office: Office) -> None:
    two_accounts(office)
    with transaction() as session:
        corrections.freeze(session, "ada", ChangeContext(office.now, "alice", "Stolen card."))
    with pytest.raises(Problem) as refused:
        merge(office, "ada", "old")
    assert refused.value.code == "FROZEN"


@pytest.mark.parametrize("own", [None, "pack_roast_10"])
def test_what_is_bought_by_itself_goes_on_within_its_bounds(office: Office, own: str | None) -> None:
    two_accounts(office)
    wanted = {"below": 20, "per_period_max": 2, "amount_max": None, "updated_at": START, "updated_by": "ada"}
    order = {"key": "auto-1", "price": "pack_roast_100", "customer_id": "cus_ada", "state": "paid", "next_at": START}
    with transaction() as session:
        auto_top_ups.put(session, "ada", {"price": "pack_roast_100", **wanted})
        for user_id, number in (("ada", 1), ("ada", 2), ("old", 1)):
            place = {"user_id": user_id, "period_start": START, "number": number, "ordered_at": START}
            auto_top_ups.add_order(session, {**order, **place, "key": f"{user_id}{number}"})
        if own:
            auto_top_ups.put(session, "old", {"price": own, **wanted})
    merge(office, "ada", "old")
    (row,) = office.rows(AUTO_TOP_UPS)
    assert (row["user_id"], row["price"]) == ("old", own or "pack_roast_100")
    orders = [(each["user_id"], each["number"], each["key"]) for each in office.rows(TOP_UP_ORDERS)]
    assert sorted(orders) == [("old", 1, "old1"), ("old", 2, "ada1"), ("old", 3, "ada2")]


def test_the_product_is_not_told_again_of_what_it_was_told_before_the_merge(office: Office) -> None:
    two_accounts(office)
    usage_webhooks.collect(START)
    assert take(office, "ada", "k1", 8_100)
    usage_webhooks.collect(START)
    merge(office, "ada", "old")
    with transaction() as session:
        give = corrections.Adjustment("old", Amounts(1_000))
        corrections.adjust(session, give, ChangeContext(office.now, "alice", "Sorry."), evaluate=lambda _: V2_SERVES)
    assert take(office, "old", "k2", 1_000)
    usage_webhooks.collect(START)
    assert [(row["user_id"], row["percent"]) for row in office.rows(WEBHOOKS) if row["state"] == "pending"] == [
        ("ada", 80)
    ]
