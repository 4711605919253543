"""Packs sold by one-off payments: granted once, taken back with the money, the same in whatever order Stripe tells."""

from datetime import timedelta
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.platform.db.database import transaction
from credits_engine.billing import schedule
from credits_engine.billing.entitlements import prices, purchases
from credits_engine.billing.entitlements.given_back import CreditedByNotes, GivenBack, share_of_pack
from credits_engine.billing.entitlements.purchases import to_take_back
from credits_engine.billing.facts import PackPaid
from credits_engine.engines.amounts import Amounts
from credits_engine.engines.pack_prices import YEAR, PackPrice, PackPrices, offers, pack_price_errors
from credits_engine.engines.plans import CATALOGUE, ROAST, CatalogueError
from credits_engine.engines.receipts import EntryType
from credits_engine.operations import reservations
from credits_engine.operations.consumption import FlagEvaluation, Operation, consume
from credits_engine.store.tables import PACKS
from tests.credits_engine.billing.conftest import Office
from tests.credits_engine.billing.stripe_objects import Json
from tests.credits_engine.billing.virtual_collection import dispute
from tests.credits_engine.billing.virtual_shop import CENTS, give_back, receive_payment, sell
from tests.credits_engine.billing.virtual_stripe import START, VirtualStripe
from tests.faults.ledger import assert_whole

PRICE = "pack_roast_100"
HOUR = timedelta(hours=1)
V2_SERVES = FlagEvaluation(enabled=True, reason="test", revision=1)
FREE_ROASTS = 10


@pytest.fixture
def stripe() -> VirtualStripe:
    return VirtualStripe()


def packs(office: Office, user: str = "ada") -> list[tuple[str, int, int]]:
    """Kind, size and rest of each pack of a user."""
    return [(row["kind"], row["amount"], row["remaining"]) for row in office.rows(PACKS, user_id=user)]


def take(office: Office, roast: int, key: str = "k1") -> None:
    operation = Operation("ada", key, Amounts(0, roast), actor="test")
    with transaction() as session:
        assert consume(session, operation, now=office.now, evaluate=lambda _: V2_SERVES).granted


def states(office: Office) -> set[str]:
    return set(office.states().values())


@pytest.mark.parametrize("customer", [None, "cus_ada"])
def test_a_paid_checkout_grants_its_pack_once_however_often_it_is_told(
    office: Office, stripe: VirtualStripe, customer: str | None
) -> None:
    session = sell(stripe, "ada", PRICE, customer=customer)
    receive_payment(stripe, session)
    office.tell(stripe.events, at=START)
    office.tell(stripe.events * 2, at=START + HOUR)
    assert packs(office) == [("roast", 100, 100)]
    (row,) = office.rows(PACKS)
    assert row["expires_at"] == START + YEAR
    assert [entry["type"] for entry in office.journal("ada")] == ["top_up"]
    assert states(office) == {"applied"}
    assert_whole(office.app)


def test_a_checkout_that_is_paid_later_grants_nothing_before(office: Office, stripe: VirtualStripe) -> None:
    session = sell(stripe, "ada", PRICE, is_paid=False)
    office.tell(stripe.events, at=START)
    assert packs(office) == []
    stripe.now += 3 * HOUR
    receive_payment(stripe, session)
    office.tell(stripe.events, at=stripe.now)
    assert packs(office) == [("roast", 100, 100)]


def test_line_items_say_which_pack_and_how_many(office: Office, stripe: VirtualStripe) -> None:
    sell(stripe, "ada", "pack_analysis_100", quantity=3)
    office.tell(stripe.events, at=START)
    assert packs(office) == [("analysis", 300, 300)]


def test_a_subscriber_need_not_be_named_again_and_keeps_plan_and_period(office: Office, stripe: VirtualStripe) -> None:
    stripe.checkout("ada", "pro_monthly")
    office.tell(stripe.events, at=START)
    before = office.user("ada"), office.periods("ada")
    sell(stripe, None, PRICE, customer="cus_ada")
    office.tell(stripe.events, at=START + HOUR)
    assert packs(office) == [("roast", 100, 100)]
    assert (office.user("ada"), office.periods("ada")) == before


def test_a_payment_for_something_else_is_none_of_ours(office: Office, stripe: VirtualStripe) -> None:
    session = sell(stripe, "ada", "", customer="cus_ada")
    assert session["metadata"]["credit_pack"] == ""
    office.tell(stripe.events, at=START)
    assert states(office) == {"ignored"}
    assert packs(office) == []


def test_an_unknown_pack_waits_until_it_is_on_sale(
    office: Office, stripe: VirtualStripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    sell(stripe, "ada", "pack_roast_7")
    office.tell(stripe.events, at=START)
    assert states(office) == {"parked"}
    (event,) = stripe.events
    assert office.event(event["id"])["waiting_for"] == "price:pack_roast_7"
    for module in (purchases, prices):
        sold = PackPrices((PackPrice("pack_roast_7", ROAST, 7, YEAR),), CATALOGUE)
        monkeypatch.setattr(module, "find_offer", sold.find)
    schedule.release_priced(START + HOUR)
    office.work(at=START + HOUR)
    assert packs(office) == [("roast", 7, 7)]


def test_the_whole_refund_takes_back_what_is_unspent_and_no_more(office: Office, stripe: VirtualStripe) -> None:
    session = sell(stripe, "ada", PRICE)
    office.tell(stripe.events, at=START)
    take(office, FREE_ROASTS + 30)
    give_back(stripe, session)
    office.tell(stripe.events, at=START + HOUR)
    assert packs(office) == [("roast", 100, 0)]
    revoked = office.journal("ada")[-1]
    assert (revoked["type"], revoked["requested"]["roast"], revoked["actor"]) == ("pack_revoke", -70, "billing")
    assert_whole(office.app)
    office.tell(stripe.events, at=START + 2 * HOUR)
    assert len(office.journal("ada")) == 3


def test_a_part_given_back_takes_its_share_and_the_pack_goes_on(office: Office, stripe: VirtualStripe) -> None:
    session = sell(stripe, "ada", PRICE)
    give_back(stripe, session, CENTS // 4)
    office.tell(stripe.events, at=START)
    assert packs(office) == [("roast", 100, 75)]
    take(office, FREE_ROASTS + 50)
    give_back(stripe, session, CENTS // 2)
    office.tell(stripe.events, at=START + HOUR)
    assert packs(office) == [("roast", 100, 0)], "25 were left, and 25 more are given back"
    assert_whole(office.app)


def test_what_a_reservation_holds_of_a_refunded_pack_is_no_ones_afterwards(
    office: Office, stripe: VirtualStripe
) -> None:
    sale = sell(stripe, "ada", PRICE)
    office.tell(stripe.events, at=START)
    operation = Operation("ada", "k1", Amounts(0, FREE_ROASTS + 40), actor="test", type=EntryType.RESERVE)
    with transaction() as session:
        reservations.reserve(session, operation, now=START, evaluate=lambda _: V2_SERVES)
    give_back(stripe, sale)
    office.tell(stripe.events, at=START + timedelta(minutes=1))
    with transaction() as session:
        now = START + timedelta(minutes=2)
        reservations.release(session, "ada", "k1", now=now, actor="test", reason="Work failed.")
        again = Operation("ada", "k2", Amounts(0, FREE_ROASTS + 1), actor="test")
        assert not consume(session, again, now=now, evaluate=lambda _: V2_SERVES).granted
    assert_whole(office.app)


def story(customer: str | None) -> list[Json]:
    """Return a sale that is told twice, and given back in three parts that Stripe adds up."""
    stripe = VirtualStripe()
    session = sell(stripe, "ada", PRICE, customer=customer)
    receive_payment(stripe, session)
    give_back(stripe, session, CENTS // 5)
    give_back(stripe, session, CENTS // 2)
    return stripe.events


@pytest.mark.parametrize("customer", [None, "cus_ada"])
def test_every_order_of_sale_and_refunds_ends_alike(office: Office, customer: str | None) -> None:
    for number, order in enumerate(permutations(story(customer))):
        user = f"u{number}"
        for place, event in enumerate(order):
            office.tell([renamed(event, user)], at=START + place * HOUR)
        office.work(at=START + 9 * HOUR)
        assert packs(office, user) == [("roast", 100, 50)], [event["type"] for event in order]
    assert states(office) == {"applied"}
    assert_whole(office.app)


def renamed(event: Json, user: str) -> Json:
    """Return the event as it would be of another user."""
    stated = dict(event["data"]["object"])
    for name in ("id", "payment_intent", "customer"):
        stated[name] = stated[name] and f"{stated[name]}_{user}"
    if "client_reference_id" in stated:
        stated["client_reference_id"] = user
    return {**event, "id": f"{event['id']}_{user}", "data": {"object": stated}}


def test_a_refund_told_before_its_sale_leaves_nothing_to_spend(office: Office, stripe: VirtualStripe) -> None:
    session = sell(stripe, "ada", PRICE)
    give_back(stripe, session)
    office.tell(reversed(stripe.events), at=START)
    office.work(at=START + HOUR)
    assert packs(office) == [("roast", 100, 0)]
    assert states(office) == {"applied"}


def test_a_sale_told_after_its_pack_would_have_ended_grants_nothing(office: Office, stripe: VirtualStripe) -> None:
    sell(stripe, "ada", PRICE)
    office.tell(stripe.events, at=START + YEAR)
    assert packs(office) == []
    assert states(office) == {"applied"}


@pytest.mark.parametrize("order", [1, -1])
def test_a_dispute_over_half_of_the_payment_that_is_lost_takes_half(
    office: Office, stripe: VirtualStripe, order: int
) -> None:
    session = sell(stripe, "ada", PRICE)
    paid = {"id": "in_1", "total": CENTS // 2}
    dispute(stripe, paid, "lost", START, payment_intent=session["payment_intent"])
    office.tell(stripe.events[::order], at=START)
    office.work(at=START + HOUR)
    assert packs(office) == [("roast", 100, 50)]


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
