"""Packs sold by one-off payments: granted once, taken back with the money, the same in whatever order Stripe tells."""

from datetime import timedelta
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.platform.db.database import transaction
from credits_engine.billing import schedule
from credits_engine.billing.entitlements import plan_of_prices, purchases
from credits_engine.billing.entitlements.given_back import CreditedByNotes, GivenBack, share_of_pack
from credits_engine.billing.entitlements.purchases import to_take_back
from credits_engine.billing.facts import PackPaid
from credits_engine.engines.amounts import Amounts
from credits_engine.engines.pack_prices import YEAR, PackPrice, PackPrices, offers, pack_price_errors
from credits_engine.engines.plans import CATALOGUE, CatalogueError
from credits_engine.engines.receipts import EntryType
from credits_engine.operations import reservations
from credits_engine.operations.consumption import FlagEvaluation, Operation, consume
from credits_engine.store.tables import PACKS
from tests.credit_kinds import ROAST
from tests.credits_engine.billing.conftest import Billing
from tests.credits_engine.billing.stripe_objects import Json
from tests.credits_engine.billing.virtual_collection import dispute
from tests.credits_engine.billing.virtual_sales import CENTS, give_back, receive_payment, sell
from tests.credits_engine.billing.virtual_stripe import START, VirtualStripe
from tests.faults.ledger import assert_whole

PRICE = "pack_roast_100"
HOUR = timedelta(hours=1)
V2_SERVES = FlagEvaluation(enabled=True, reason="test", revision=1)
FREE_ROASTS = 10


@pytest.fixture
def stripe() -> VirtualStripe:
    return VirtualStripe()


def packs(billing: Billing, user: str = "ada") -> list[tuple[str, int, int]]:
    """Kind, size and rest of each pack of a user."""
    return [(row["kind"], row["amount"], row["remaining"]) for row in billing.rows(PACKS, user_id=user)]


def take(billing: Billing, roast: int, key: str = "k1") -> None:
    operation = Operation("ada", key, Amounts(0, roast), actor="test")
    with transaction() as session:
        assert consume(session, operation, now=billing.now, evaluate=lambda _: V2_SERVES).granted


def states(billing: Billing) -> set[str]:
    return set(billing.states().values())


@pytest.mark.parametrize("customer", [None, "cus_ada"])
def test_a_paid_checkout_grants_its_pack_once_however_often_it_is_told(
    billing: Billing, stripe: VirtualStripe, customer: str | None
) -> None:
    session = sell(stripe, "ada", PRICE, customer=customer)
    receive_payment(stripe, session)
    billing.process(stripe.events, at=START)
    billing.process(stripe.events * 2, at=START + HOUR)
    assert packs(billing) == [("roast", 100, 100)]
    (row,) = billing.rows(PACKS)
    assert row["expires_at"] == START + YEAR
    assert [entry["type"] for entry in billing.journal("ada")] == ["top_up"]
    assert states(billing) == {"applied"}
    assert_whole(billing.app)


def test_a_checkout_that_is_paid_later_grants_nothing_before(billing: Billing, stripe: VirtualStripe) -> None:
    session = sell(stripe, "ada", PRICE, is_paid=False)
    billing.process(stripe.events, at=START)
    assert packs(billing) == []
    stripe.now += 3 * HOUR
    receive_payment(stripe, session)
    billing.process(stripe.events, at=stripe.now)
    assert packs(billing) == [("roast", 100, 100)]


def test_line_items_say_which_pack_and_how_many(billing: Billing, stripe: VirtualStripe) -> None:
    sell(stripe, "ada", "pack_analysis_100", quantity=3)
    billing.process(stripe.events, at=START)
    assert packs(billing) == [("analysis", 300, 300)]


def test_a_subscriber_need_not_be_named_again_and_keeps_plan_and_period(
    billing: Billing, stripe: VirtualStripe
) -> None:
    stripe.checkout("ada", "pro_monthly")
    billing.process(stripe.events, at=START)
    before = billing.user("ada"), billing.periods("ada")
    sell(stripe, None, PRICE, customer="cus_ada")
    billing.process(stripe.events, at=START + HOUR)
    assert packs(billing) == [("roast", 100, 100)]
    assert (billing.user("ada"), billing.periods("ada")) == before


def test_a_payment_for_something_else_is_none_of_ours(billing: Billing, stripe: VirtualStripe) -> None:
    session = sell(stripe, "ada", "", customer="cus_ada")
    assert session["metadata"]["credit_pack"] == ""
    billing.process(stripe.events, at=START)
    assert states(billing) == {"ignored"}
    assert packs(billing) == []


def test_an_unknown_pack_waits_until_it_is_on_sale(
    billing: Billing, stripe: VirtualStripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    sell(stripe, "ada", "pack_roast_7")
    billing.process(stripe.events, at=START)
    assert states(billing) == {"parked"}
    (event,) = stripe.events
    assert billing.event(event["id"])["waiting_for"] == "price:pack_roast_7"
    for module in (purchases, plan_of_prices):
        sold = PackPrices((PackPrice("pack_roast_7", ROAST, 7, YEAR),), CATALOGUE)
        monkeypatch.setattr(module, "find_offer", sold.find)
    schedule.release_priced(START + HOUR)
    billing.work(at=START + HOUR)
    assert packs(billing) == [("roast", 7, 7)]


def test_the_whole_refund_takes_back_what_is_unspent_and_no_more(billing: Billing, stripe: VirtualStripe) -> None:
    session = sell(stripe, "ada", PRICE)
    billing.process(stripe.events, at=START)
    take(billing, FREE_ROASTS + 30)
    give_back(stripe, session)
    billing.process(stripe.events, at=START + HOUR)
    assert packs(billing) == [("roast", 100, 0)]
    revoked = billing.journal("ada")[-1]
    assert (revoked["type"], revoked["requested"]["roast"], revoked["actor"]) == ("pack_revoke", -70, "billing")
    assert_whole(billing.app)
    billing.process(stripe.events, at=START + 2 * HOUR)
    assert len(billing.journal("ada")) == 3


def test_a_part_given_back_takes_its_share_and_the_pack_goes_on(billing: Billing, stripe: VirtualStripe) -> None:
    session = sell(stripe, "ada", PRICE)
    give_back(stripe, session, CENTS // 4)
    billing.process(stripe.events, at=START)
    assert packs(billing) == [("roast", 100, 75)]
    take(billing, FREE_ROASTS + 50)
    give_back(stripe, session, CENTS // 2)
    billing.process(stripe.events, at=START + HOUR)
    assert packs(billing) == [("roast", 100, 0)], "25 were left, and 25 more are given back"
    assert_whole(billing.app)


def test_what_a_reservation_holds_of_a_refunded_pack_is_no_ones_afterwards(
    billing: Billing, stripe: VirtualStripe
) -> None:
    sale = sell(stripe, "ada", PRICE)
    billing.process(stripe.events, at=START)
    operation = Operation("ada", "k1", Amounts(0, FREE_ROASTS + 40), actor="test", type=EntryType.RESERVE)
    with transaction() as session:
        reservations.reserve(session, operation, now=START, evaluate=lambda _: V2_SERVES)
    give_back(stripe, sale)
    billing.process(stripe.events, at=START + timedelta(minutes=1))
    with transaction() as session:
        now = START + timedelta(minutes=2)
        reservations.release(session, "ada", "k1", now=now, actor="test", reason="Work failed.")
        again = Operation("ada", "k2", Amounts(0, FREE_ROASTS + 1), actor="test")
        assert not consume(session, again, now=now, evaluate=lambda _: V2_SERVES).granted
    assert_whole(billing.app)


def story(customer: str | None) -> list[Json]:
    """Return a sale that is told twice, and given back in three parts that Stripe adds up."""
    stripe = VirtualStripe()
    session = sell(stripe, "ada", PRICE, customer=customer)
    receive_payment(stripe, session)
    give_back(stripe, session, CENTS // 5)
    give_back(stripe, session, CENTS // 2)
    return stripe.events


@pytest.mark.parametrize("customer", [None, "cus_ada"])
def test_every_order_of_sale_and_refunds_ends_alike(billing: Billing, customer: str | None) -> None:
    for number, order in enumerate(permutations(story(customer))):
        user = f"u{number}"
        for place, event in enumerate(order):
            billing.process([renamed(event, user)], at=START + place * HOUR)
        billing.work(at=START + 9 * HOUR)
        assert packs(billing, user) == [("roast", 100, 50)], [event["type"] for event in order]
    assert states(billing) == {"applied"}
    assert_whole(billing.app)


def renamed(event: Json, user: str) -> Json:
    """Return the event as it would be of another user."""
    stated = dict(event["data"]["object"])
    for name in ("id", "payment_intent", "customer"):
        stated[name] = stated[name] and f"{stated[name]}_{user}"
    if "client_reference_id" in stated:
        stated["client_reference_id"] = user
    return {**event, "id": f"{event['id']}_{user}", "data": {"object": stated}}


def test_a_refund_told_before_its_sale_leaves_nothing_to_spend(billing: Billing, stripe: VirtualStripe) -> None:
    session = sell(stripe, "ada", PRICE)
    give_back(stripe, session)
    billing.process(reversed(stripe.events), at=START)
    billing.work(at=START + HOUR)
    assert packs(billing) == [("roast", 100, 0)]
    assert states(billing) == {"applied"}


def test_a_sale_told_after_its_pack_would_have_ended_grants_nothing(billing: Billing, stripe: VirtualStripe) -> None:
    sell(stripe, "ada", PRICE)
    billing.process(stripe.events, at=START + YEAR)
    assert packs(billing) == []
    assert states(billing) == {"applied"}


@pytest.mark.parametrize("order", [1, -1])
def test_a_dispute_over_half_of_the_payment_that_is_lost_takes_half(
    billing: Billing, stripe: VirtualStripe, order: int
) -> None:
    session = sell(stripe, "ada", PRICE)
    paid = {"id": "in_1", "total": CENTS // 2}
    dispute(stripe, paid, "lost", START, payment_intent=session["payment_intent"])
    billing.process(stripe.events[::order], at=START)
    billing.work(at=START + HOUR)
    assert packs(billing) == [("roast", 100, 50)]


@given(
    amount=st.integers(1, 10**6),
    charges=st.lists(st.tuples(st.integers(1, 10**6), st.integers(0, 10**6)), max_size=4),
    balance=st.integers(0, 100),
    note=st.integers(0, 10**6),
)
def test_the_share_taken_back_is_that_of_all_the_money(
    amount: int, charges: list[tuple[int, int]], balance: int, note: int
) -> None:
    """It holds for any number of charges, and with a balance or a credit note."""
    total = sum(cents for cents, _ in charges) + balance
    paid = PackPaid("il_1:pack", "cus_ada", START, PRICE, 1, invoice_id="in_1", total=total)
    refunds = [GivenBack(None, "in_1", cents, refunded=min(back, cents)) for cents, back in charges]
    returned = sum(each.refunded for each in refunds) + note
    taken = to_take_back(amount, share_of_pack(paid, refunds, {"in_1": CreditedByNotes(after=note)}))
    assert taken == (min(amount, amount * returned // total) if total else 0)


def test_packs_on_sale_contradict_neither_each_other_nor_the_plans() -> None:
    assert pack_price_errors(tuple(offers()), CATALOGUE) == []
    wrong = PackPrice("pro_monthly", ROAST, 0, timedelta())
    with pytest.raises(CatalogueError, match="buys a plan already") as refusal:
        PackPrices((wrong, wrong), CATALOGUE)
    for word in ("2 packs", "holds 0", "expires when it is bought"):
        assert word in str(refusal.value)
