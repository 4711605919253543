"""Packs that an account buys by itself: once when it is short, never twice, never beyond what it allows."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import select
from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.settings import SETTINGS
from credits_engine.administration import corrections
from credits_engine.billing.auto_top_ups import orders, payment
from credits_engine.billing.auto_top_ups.rules import GIVE_UP_AFTER, LEASE, OrderState
from credits_engine.billing.store import auto_top_ups as store
from credits_engine.billing.stripe_api.client import STRIPE_GATEWAY
from credits_engine.erasure import person_data
from credits_engine.store.usage_webhooks import WEBHOOKS
from tests.credits_engine.billing.auto_top_ups.conftest import PRICE, PackBuyer
from tests.faults.ledger import assert_whole

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
STEPS = ["invoices", "invoiceitems", "finalize", "pay"]


def test_whoever_wants_nothing_is_never_looked_at(buyer: PackBuyer) -> None:
    buyer.take(95)
    asked = len(buyer.api.asked)
    buyer.run()
    assert (buyer.orders(), buyer.api.posted, len(buyer.api.asked)) == ([], [], asked)


def test_a_short_account_gets_one_pack_once_its_payment_is_told(buyer: PackBuyer) -> None:
    buyer.want()
    buyer.take(80)
    buyer.run()
    assert buyer.orders() == [], "20 are left, which is enough"
    buyer.take(1)
    for _ in range(5):
        buyer.tick()
    assert buyer.packs() == [], "credits come with the event alone"
    assert [state for state, _ in buyer.orders()] == ["charged"], "and nothing more is ordered before"
    buyer.receive_events()
    buyer.run()
    assert buyer.packs() == [100]
    assert buyer.orders() == [("paid", None)]
    assert len(buyer.api.invoicing.charged) == 1
    assert_whole(buyer.billing.app)


def test_each_order_is_counted_once_by_how_it_ended(buyer: PackBuyer) -> None:
    def ended(result: str) -> float:
        return REGISTRY.get_sample_value("rollout_auto_top_ups_total", {"result": result}) or 0.0

    before = {each: ended(each) for each in ("paid", "declined")}
    buyer.want()
    buyer.take(95)
    buyer.run()
    buyer.api.invoicing.declined = "Your card has insufficient funds."
    buyer.take(100)
    buyer.run(ticks=8)
    assert {each: ended(each) - count for each, count in before.items()} == {"paid": 1.0, "declined": 1.0}


def test_no_more_are_bought_in_a_period_than_allowed_and_again_in_the_next(buyer: PackBuyer) -> None:
    buyer.want(most=2)
    buyer.take(95)
    buyer.run()
    buyer.take(100)
    buyer.run()
    buyer.take(90)
    buyer.run(8)
    assert buyer.packs() == [100, 100]
    buyer.now += timedelta(days=31)
    buyer.take(99)
    buyer.run()
    assert buyer.packs() == [100, 100, 100]


def test_no_more_money_is_spent_in_a_period_than_allowed(buyer: PackBuyer) -> None:
    buyer.want(most=9, amount_max=1_500)
    buyer.take(95)
    buyer.run()
    buyer.take(100)
    buyer.run(8)
    assert buyer.packs() == [100]
    assert [state for state, _ in buyer.orders()] == ["paid", "above_max"]
    assert buyer.orders()[1][1] == (
        "It would cost 1000, and 1000 of 1500 are spent in this period, in the smallest unit of EUR."
    )
    assert [each["status"] for each in buyer.api.invoicing.invoices.values()] == ["paid", "void"]
    assert buyer.wanted().stopped_at is None


@pytest.mark.parametrize("step", STEPS)
def test_an_answer_that_is_lost_orders_nothing_twice(buyer: PackBuyer, step: str) -> None:
    buyer.want()
    buyer.take(95)
    buyer.api.invoicing.lost = [step] * 3  # the library asks three times
    buyer.tick()
    assert buyer.orders()[0][0] == "ordered"
    for _ in range(3):
        buyer.tick(40 * timedelta(seconds=1))
        buyer.receive_events()
    assert buyer.packs() == [100]
    assert (len(buyer.api.invoicing.charged), len(buyer.api.invoicing.invoices)) == (1, 1)
    assert all(len(each["lines"]["data"]) == 1 for each in buyer.api.invoicing.invoices.values())


@pytest.mark.parametrize("forgets", [False, True])
def test_a_crash_between_stripes_answer_and_our_commit_orders_nothing_twice(buyer: PackBuyer, forgets: bool) -> None:
    buyer.want()
    buyer.take(95)
    with transaction() as session:
        assert orders.place(session, "ada", buyer.now)
        (row,) = store.due(session, buyer.now, most=9)
        order = orders.order_of(row)
        assert store.claim(session, ("ada", order.id), 0, until=buyer.now + LEASE)
    gateway = STRIPE_GATEWAY.get()
    assert gateway is not None
    payment.advance(gateway, order, [], buyer.now)  # and the process is gone
    if forgets:
        buyer.api.invoicing.answers.clear()
    buyer.tick()
    assert buyer.orders()[0][0] == "ordered", "the lease of the process that is gone still runs"
    buyer.tick(LEASE)
    buyer.receive_events()
    buyer.run()
    assert buyer.packs() == [100]
    assert len(buyer.api.invoicing.charged) == 1


def test_what_fails_for_one_account_holds_up_no_other(buyer: PackBuyer, monkeypatch: pytest.MonkeyPatch) -> None:
    buyer.api.stripe.checkout("aaron", "starter_monthly")
    buyer.receive_events()
    buyer.want("aaron")
    buyer.want()
    buyer.take(95, "aaron")
    buyer.take(95)
    place = orders.place

    def fails_for_aaron(session: Session, user_id: str, now: datetime) -> bool:
        if user_id == "aaron":
            raise RuntimeError("A test.")
        return place(session, user_id, now)

    monkeypatch.setattr(orders, "place", fails_for_aaron)
    buyer.run()
    assert buyer.packs() == [100]


def test_two_workers_order_and_charge_once(buyer: PackBuyer) -> None:
    buyer.want()
    buyer.take(95)
    gateway = STRIPE_GATEWAY.get()
    assert gateway is not None

    def work(_: int) -> None:
        with buyer.billing.app.app_context():
            orders.place_due(buyer.now)
            orders.process_due(gateway, buyer.now)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(12)))
    buyer.run()
    assert buyer.packs() == [100]
    assert buyer.orders() == [("paid", None)]
    assert len(buyer.api.invoicing.charged) == 1


def test_a_declined_card_stops_it_with_a_reason_and_a_notice_and_is_not_tried_again(buyer: PackBuyer) -> None:
    SETTINGS.set(buyer.billing.app, replace(SETTINGS.get(), usage_webhook_url="https://product.test/hooks"))
    buyer.want()
    buyer.take(95)
    buyer.api.invoicing.declined = "Your card has insufficient funds."
    buyer.run(6)
    assert buyer.orders() == [("declined", "Your card has insufficient funds.")]
    assert buyer.wanted().stopped_reason == "Your card has insufficient funds."
    assert [each["status"] for each in buyer.api.invoicing.invoices.values()] == ["void"]
    assert buyer.api.posted.count(next(path for path in buyer.api.posted if path.endswith("/pay"))) == 1
    with read_only() as session:
        (entry,) = audit.latest(session, subject="user:ada")
        notices = session.execute(select(WEBHOOKS.c.event, WEBHOOKS.c.user_id, WEBHOOKS.c.kind)).all()
    assert (entry.action, entry.actor) == ("billing.auto_top_up", "billing")
    assert [tuple(each) for each in notices] == [("credits.auto_top_up_stopped", "ada", "roast")]
    assert buyer.billing.account("ada")["blocked"] is None, "the subscription has nothing to do with it"
    buyer.api.invoicing.declined = ""
    buyer.run()
    assert buyer.packs() == []
    buyer.now += HOUR
    buyer.want()
    buyer.run()
    assert buyer.packs() == [100]


def test_a_card_is_not_asked_again_while_stripe_can_t_void_the_invoice(buyer: PackBuyer) -> None:
    buyer.want()
    buyer.take(95)
    buyer.api.invoicing.declined = "Your card was declined."
    buyer.tick()
    assert buyer.orders()[0][0] == "voiding"
    buyer.api.invoicing.declined = ""
    buyer.api.statuses = [500] * 3
    buyer.tick()
    assert buyer.orders()[0][0] == "voiding"
    buyer.run(8)
    assert buyer.orders() == [("declined", "Your card was declined.")]
    assert buyer.api.invoicing.charged == []


def test_an_account_that_says_something_else_meanwhile_is_not_stopped(buyer: PackBuyer) -> None:
    buyer.want()
    buyer.take(95)
    buyer.api.invoicing.declined = "Your card was declined."
    with transaction() as session:
        orders.place(session, "ada", buyer.now)
    buyer.now += HOUR
    buyer.want()
    gateway = STRIPE_GATEWAY.get()
    assert gateway is not None
    orders.process_due(gateway, buyer.now)
    assert buyer.wanted().stopped_at is None


def test_a_stripe_that_is_away_for_long_charges_nothing_later(buyer: PackBuyer) -> None:
    buyer.want()
    buyer.take(95)
    buyer.api.invoicing.lost = ["invoices"] * 3
    buyer.tick()
    buyer.api.invoicing.invoices.clear()  # it never came to anything
    buyer.api.invoicing.answers.clear()
    buyer.tick(GIVE_UP_AFTER + HOUR)
    assert buyer.orders() == [("declined", "Nothing was charged: Stripe could not be reached.")]
    assert buyer.api.invoicing.charged == []
    assert buyer.wanted().stopped_reason is not None


def test_an_invoice_that_was_paid_long_ago_is_found_again(buyer: PackBuyer) -> None:
    buyer.want()
    buyer.take(95)
    buyer.api.invoicing.lost = ["pay"] * 3
    buyer.tick()
    buyer.api.invoicing.answers.clear()
    buyer.tick(GIVE_UP_AFTER + HOUR)
    assert buyer.orders()[0][0] == "charged"
    buyer.receive_events()
    buyer.run()
    assert buyer.packs() == [100]
    assert len(buyer.api.invoicing.charged) == 1


def test_a_silent_stripe_is_waited_for_and_nothing_more_is_ordered(buyer: PackBuyer) -> None:
    buyer.want()
    buyer.take(95)
    buyer.api.invoicing.is_silent = True
    for _ in range(10):
        buyer.tick(HOUR)
    assert [state for state, _ in buyer.orders()] == ["charged"]
    assert len(buyer.api.invoicing.charged) == 1


@pytest.mark.parametrize("hindrance", ["frozen", "removed", "no price"])
def test_nothing_is_bought_for_whoever_may_not_consume_or_wants_no_more(buyer: PackBuyer, hindrance: str) -> None:
    buyer.want()
    buyer.take(95)
    if hindrance == "frozen":
        with transaction() as session:
            corrections.freeze(session, "ada", ChangeContext(buyer.now, "alice", "Asked by the bank."))
    elif hindrance == "removed":
        with transaction() as session:
            assert store.remove(session, "ada")
    else:
        buyer.api.packs = ()
    buyer.run()
    assert buyer.packs() == []
    assert buyer.api.invoicing.charged == []
    if hindrance == "no price":
        assert (
            buyer.wanted().stopped_reason
            == f"Stripe sells no pack at {PRICE} that the catalogue has by the price's id."
        )


def test_nobody_is_erased_while_a_pack_is_bought_for_them(buyer: PackBuyer) -> None:
    buyer.want()
    buyer.take(95)
    buyer.tick()
    with read_only() as session:
        codes = {each.code for each in person_data.hindrances(session, "ada", ["cus_ada"], ["ada"], buyer.now)}
    assert "TOP_UP_OPEN" in codes
    buyer.receive_events()
    buyer.run()
    with read_only() as session:
        codes = {each.code for each in person_data.hindrances(session, "ada", ["cus_ada"], ["ada"], buyer.now)}
    assert "TOP_UP_OPEN" not in codes
    assert buyer.orders()[0][0] == OrderState.PAID.value
