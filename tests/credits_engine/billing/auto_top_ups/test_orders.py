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
from tests.credits_engine.billing.auto_top_ups.conftest import PRICE, Shop
from tests.faults.ledger import assert_whole

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
STEPS = ["invoices", "invoiceitems", "finalize", "pay"]


def test_whoever_wants_nothing_is_never_looked_at(shop: Shop) -> None:
    shop.take(95)
    asked = len(shop.api.asked)
    shop.run()
    assert (shop.orders(), shop.api.posted, len(shop.api.asked)) == ([], [], asked)


def test_a_short_account_gets_one_pack_once_its_payment_is_told(shop: Shop) -> None:
    shop.want()
    shop.take(80)
    shop.run()
    assert shop.orders() == [], "20 are left, which is enough"
    shop.take(1)
    for _ in range(5):
        shop.tick()
    assert shop.packs() == [], "credits come with the event alone"
    assert [state for state, _ in shop.orders()] == ["charged"], "and nothing more is ordered before"
    shop.hear()
    shop.run()
    assert shop.packs() == [100]
    assert shop.orders() == [("paid", None)]
    assert len(shop.api.invoicing.charged) == 1
    assert_whole(shop.office.app)


def test_each_order_is_counted_once_by_how_it_ended(shop: Shop) -> None:
    def ended(result: str) -> float:
        return REGISTRY.get_sample_value("rollout_auto_top_ups_total", {"result": result}) or 0.0

    before = {each: ended(each) for each in ("paid", "declined")}
    shop.want()
    shop.take(95)
    shop.run()
    shop.api.invoicing.declined = "Your card has insufficient funds."
    shop.take(100)
    shop.run(ticks=8)
    assert {each: ended(each) - count for each, count in before.items()} == {"paid": 1.0, "declined": 1.0}


def test_no_more_are_bought_in_a_period_than_allowed_and_again_in_the_next(shop: Shop) -> None:
    shop.want(most=2)
    shop.take(95)
    shop.run()
    shop.take(100)
    shop.run()
    shop.take(90)
    shop.run(8)
    assert shop.packs() == [100, 100]
    shop.now += timedelta(days=31)
    shop.take(99)
    shop.run()
    assert shop.packs() == [100, 100, 100]


def test_no_more_money_is_spent_in_a_period_than_allowed(shop: Shop) -> None:
    shop.want(most=9, amount_max=1_500)
    shop.take(95)
    shop.run()
    shop.take(100)
    shop.run(8)
    assert shop.packs() == [100]
    assert [state for state, _ in shop.orders()] == ["paid", "above_max"]
    assert shop.orders()[1][1] == "It would cost 1000; 1000 of 1500 are spent in this period."
    assert [each["status"] for each in shop.api.invoicing.invoices.values()] == ["paid", "void"]
    assert shop.wanted().stopped_at is None


@pytest.mark.parametrize("step", STEPS)
def test_an_answer_that_is_lost_orders_nothing_twice(shop: Shop, step: str) -> None:
    shop.want()
    shop.take(95)
    shop.api.invoicing.lost = [step] * 3  # the library asks three times
    shop.tick()
    assert shop.orders()[0][0] == "ordered"
    for _ in range(3):
        shop.tick(40 * timedelta(seconds=1))
        shop.hear()
    assert shop.packs() == [100]
    assert (len(shop.api.invoicing.charged), len(shop.api.invoicing.invoices)) == (1, 1)
    assert all(len(each["lines"]["data"]) == 1 for each in shop.api.invoicing.invoices.values())


@pytest.mark.parametrize("forgets", [False, True])
def test_a_crash_between_stripes_answer_and_our_commit_orders_nothing_twice(shop: Shop, forgets: bool) -> None:
    shop.want()
    shop.take(95)
    with transaction() as session:
        assert orders.place(session, "ada", shop.now)
        (row,) = store.due(session, shop.now, most=9)
        order = orders.order_of(row)
        assert store.claim(session, ("ada", order.id), 0, until=shop.now + LEASE)
    gateway = STRIPE_GATEWAY.get()
    assert gateway is not None
    payment.advance(gateway, order, [], shop.now)  # and the process is gone
    if forgets:
        shop.api.invoicing.answers.clear()
    shop.tick()
    assert shop.orders()[0][0] == "ordered", "the lease of the process that is gone still runs"
    shop.tick(LEASE)
    shop.hear()
    shop.run()
    assert shop.packs() == [100]
    assert len(shop.api.invoicing.charged) == 1


def test_what_fails_for_one_account_holds_up_no_other(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.api.stripe.checkout("aaron", "starter_monthly")
    shop.hear()
    shop.want("aaron")
    shop.want()
    shop.take(95, "aaron")
    shop.take(95)
    place = orders.place

    def fails_for_aaron(session: Session, user_id: str, now: datetime) -> bool:
        if user_id == "aaron":
            raise RuntimeError("A test.")
        return place(session, user_id, now)

    monkeypatch.setattr(orders, "place", fails_for_aaron)
    shop.run()
    assert shop.packs() == [100]


def test_two_workers_order_and_charge_once(shop: Shop) -> None:
    shop.want()
    shop.take(95)
    gateway = STRIPE_GATEWAY.get()
    assert gateway is not None

    def work(_: int) -> None:
        with shop.office.app.app_context():
            orders.place_due(shop.now)
            orders.process_due(gateway, shop.now)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(12)))
    shop.run()
    assert shop.packs() == [100]
    assert shop.orders() == [("paid", None)]
    assert len(shop.api.invoicing.charged) == 1


def test_a_declined_card_stops_it_with_a_reason_and_a_notice_and_is_not_tried_again(shop: Shop) -> None:
    SETTINGS.set(shop.office.app, replace(SETTINGS.get(), usage_webhook_url="https://product.test/hooks"))
    shop.want()
    shop.take(95)
    shop.api.invoicing.declined = "Your card has insufficient funds."
    shop.run(6)
    assert shop.orders() == [("declined", "Your card has insufficient funds.")]
    assert shop.wanted().stopped_reason == "Your card has insufficient funds."
    assert [each["status"] for each in shop.api.invoicing.invoices.values()] == ["void"]
    assert shop.api.posted.count(next(path for path in shop.api.posted if path.endswith("/pay"))) == 1
    with read_only() as session:
        (entry,) = audit.latest(session, subject="user:ada")
        notices = session.execute(select(WEBHOOKS.c.event, WEBHOOKS.c.user_id, WEBHOOKS.c.kind)).all()
    assert (entry.action, entry.actor) == ("billing.auto_top_up", "billing")
    assert [tuple(each) for each in notices] == [("credits.auto_top_up_stopped", "ada", "roast")]
    assert shop.office.account("ada")["blocked"] is None, "the subscription has nothing to do with it"
    shop.api.invoicing.declined = ""
    shop.run()
    assert shop.packs() == []
    shop.now += HOUR
    shop.want()
    shop.run()
    assert shop.packs() == [100]


def test_a_card_is_not_asked_again_while_stripe_can_t_void_the_invoice(shop: Shop) -> None:
    shop.want()
    shop.take(95)
    shop.api.invoicing.declined = "Your card was declined."
    shop.tick()
    assert shop.orders()[0][0] == "voiding"
    shop.api.invoicing.declined = ""
    shop.api.statuses = [500] * 3
    shop.tick()
    assert shop.orders()[0][0] == "voiding"
    shop.run(8)
    assert shop.orders() == [("declined", "Your card was declined.")]
    assert shop.api.invoicing.charged == []


def test_an_account_that_says_something_else_meanwhile_is_not_stopped(shop: Shop) -> None:
    shop.want()
    shop.take(95)
    shop.api.invoicing.declined = "Your card was declined."
    with transaction() as session:
        orders.place(session, "ada", shop.now)
    shop.now += HOUR
    shop.want()
    gateway = STRIPE_GATEWAY.get()
    assert gateway is not None
    orders.process_due(gateway, shop.now)
    assert shop.wanted().stopped_at is None


def test_a_stripe_that_is_away_for_long_charges_nothing_later(shop: Shop) -> None:
    shop.want()
    shop.take(95)
    shop.api.invoicing.lost = ["invoices"] * 3
    shop.tick()
    shop.api.invoicing.invoices.clear()  # it never came to anything
    shop.api.invoicing.answers.clear()
    shop.tick(GIVE_UP_AFTER + HOUR)
    assert shop.orders() == [("declined", "Nothing was charged: Stripe could not be reached.")]
    assert shop.api.invoicing.charged == []
    assert shop.wanted().stopped_reason is not None


def test_an_invoice_that_was_paid_long_ago_is_found_again(shop: Shop) -> None:
    shop.want()
    shop.take(95)
    shop.api.invoicing.lost = ["pay"] * 3
    shop.tick()
    shop.api.invoicing.answers.clear()
    shop.tick(GIVE_UP_AFTER + HOUR)
    assert shop.orders()[0][0] == "charged"
    shop.hear()
    shop.run()
    assert shop.packs() == [100]
    assert len(shop.api.invoicing.charged) == 1


def test_a_silent_stripe_is_waited_for_and_nothing_more_is_ordered(shop: Shop) -> None:
    shop.want()
    shop.take(95)
    shop.api.invoicing.is_silent = True
    for _ in range(10):
        shop.tick(HOUR)
    assert [state for state, _ in shop.orders()] == ["charged"]
    assert len(shop.api.invoicing.charged) == 1


@pytest.mark.parametrize("hindrance", ["frozen", "removed", "no price"])
def test_nothing_is_bought_for_whoever_may_not_consume_or_wants_no_more(shop: Shop, hindrance: str) -> None:
    shop.want()
    shop.take(95)
    if hindrance == "frozen":
        with transaction() as session:
            corrections.freeze(session, "ada", ChangeContext(shop.now, "alice", "Asked by the bank."))
    elif hindrance == "removed":
        with transaction() as session:
            assert store.remove(session, "ada")
    else:
        shop.api.packs = ()
    shop.run()
    assert shop.packs() == []
    assert shop.api.invoicing.charged == []
    if hindrance == "no price":
        assert (
            shop.wanted().stopped_reason == f"Stripe sells no pack at {PRICE} that the catalogue has by the price's id."
        )


def test_nobody_is_erased_while_a_pack_is_bought_for_them(shop: Shop) -> None:
    shop.want()
    shop.take(95)
    shop.tick()
    with read_only() as session:
        codes = {each.code for each in person_data.hindrances(session, "ada", ["cus_ada"], ["ada"], shop.now)}
    assert "TOP_UP_OPEN" in codes
    shop.hear()
    shop.run()
    with read_only() as session:
        codes = {each.code for each in person_data.hindrances(session, "ada", ["cus_ada"], ["ada"], shop.now)}
    assert "TOP_UP_OPEN" not in codes
    assert shop.orders()[0][0] == OrderState.PAID.value
