"""Orders whose account, price, payment or Stripe is not any more what it was when they were made."""

import threading
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.platform.db.database import transaction
from credits_engine.administration import corrections
from credits_engine.billing.auto_top_ups import orders
from credits_engine.billing.auto_top_ups.payment import PAID_WITHIN
from credits_engine.billing.auto_top_ups.rules import GIVE_UP_AFTER, AutoTopUp
from credits_engine.billing.auto_top_ups.shortage import short_period
from credits_engine.billing.store import auto_top_ups as store
from credits_engine.billing.stripe_api.client import STRIPE_GATEWAY, connect
from credits_engine.engines.periods import Period
from credits_engine.erasure import person_data
from credits_engine.operations import members
from credits_engine.store.tables import PACKS
from tests.credits_engine import organisation
from tests.credits_engine.billing.auto_top_ups.conftest import Shop
from tests.credits_engine.billing.fake_invoicing import Answer
from tests.credits_engine.billing.stripe_objects import Json
from tests.credits_engine.billing.virtual_collection import credit_note
from tests.credits_engine.billing.virtual_shop import give_back
from tests.statements import wait_until_somebody_waits

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def test_a_pack_that_was_paid_before_a_crash_counts_though_it_is_not_sold_any_more(shop: Shop) -> None:
    shop.want(most=1)
    shop.take(95)
    shop.api.invoicing.lost = ["pay"] * 3
    shop.tick()
    shop.api.packs = ()
    shop.tick(40 * timedelta(seconds=1))
    assert [state for state, _ in shop.orders()] == ["charged"]
    shop.hear()
    shop.run()
    assert (shop.orders(), shop.packs()) == ([("paid", None)], [100])


@pytest.mark.parametrize("step", ["invoices", "finalize"])
@pytest.mark.parametrize("hindrance", ["late", "no price", "frozen"])
def test_what_was_begun_and_is_not_to_be_paid_any_more_is_taken_back(shop: Shop, step: str, hindrance: str) -> None:
    shop.want()
    shop.take(95)
    shop.api.invoicing.lost = [step] * 3
    shop.tick()
    later = 40 * timedelta(seconds=1)
    if hindrance == "late":
        later = GIVE_UP_AFTER + HOUR
    elif hindrance == "no price":
        shop.api.packs = ()
    else:
        with transaction() as session:
            corrections.freeze(session, "ada", ChangeContext(shop.now, "alice", "Asked by the bank."))
    shop.tick(later)
    shop.run()
    assert [state for state, _ in shop.orders()] == ["declined"]
    assert shop.api.invoicing.charged == []
    assert {each["status"] for each in shop.api.invoicing.invoices.values()} <= {"void"}
    assert shop.wanted().stopped_at is not None


def test_a_direct_debit_that_never_comes_is_given_up_and_its_invoice_voided(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shop.api.invoicing, "_pay", lambda invoice: (200, invoice))
    shop.want()
    shop.take(95)
    shop.tick()
    shop.tick(PAID_WITHIN - HOUR)
    assert [state for state, _ in shop.orders()] == ["charged"]
    shop.tick(2 * HOUR)
    shop.run()
    assert shop.orders() == [("declined", "Stripe got no money within 21 days.")]
    assert [each["status"] for each in shop.api.invoicing.invoices.values()] == ["void"]


def test_an_invoice_that_is_paid_while_it_is_voided_buys_its_pack(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.want()
    shop.take(95)
    invoicing = shop.api.invoicing
    invoicing.declined = "Your card was declined."
    shop.tick()
    assert [state for state, _ in shop.orders()] == ["voiding"]
    invoicing.declined = ""
    void = invoicing._void

    def paid_before(invoice: Json) -> Answer:
        invoicing._pay(invoice)
        return void(invoice)

    monkeypatch.setattr(invoicing, "_void", paid_before)
    shop.run()
    assert (shop.packs(), [state for state, _ in shop.orders()]) == ([100], ["paid"])


@pytest.mark.parametrize("how", ["refund", "dispute", "note"])
def test_whose_money_went_back_is_not_charged_again_before_they_ask(shop: Shop, how: str) -> None:
    shop.want()
    shop.take(95)
    shop.run()
    (invoice_id,) = shop.api.invoicing.charged
    payment = {"id": "inpay_1", "object": "invoice_payment", "invoice": invoice_id, "status": "paid"}
    intent = {"type": "payment_intent", "payment_intent": "pi_9"}
    shop.api.stripe._send("invoice_payment.paid", {**payment, "payment": intent})
    if how == "refund":
        give_back(shop.api.stripe, {"payment_intent": "pi_9", "customer": "cus_ada"})
    elif how == "note":
        credit_note(shop.api.stripe, {"id": invoice_id, "customer": "cus_ada"}, 1_000)
    else:
        dispute = {"id": "dp_1", "object": "dispute", "charge": "ch_pi_9", "amount": 1_000, "status": "needs_response"}
        shop.api.stripe._send("charge.dispute.created", {**dispute, "payment_intent": "pi_9"})
    shop.hear()
    assert shop.office.rows(PACKS)[0]["remaining"] == 0
    shop.take(4)
    shop.run()
    assert len(shop.api.invoicing.charged) == 1
    assert shop.wanted().stopped_reason == "The money of such a pack was refunded, or is disputed."
    shop.now += HOUR
    shop.want()
    shop.run()
    assert len(shop.api.invoicing.charged) == 2


def test_a_decline_stops_what_was_asked_for_by_a_clock_that_is_ahead(shop: Shop) -> None:
    shop.now += HOUR
    shop.want()
    shop.now -= HOUR
    shop.take(95)
    shop.api.invoicing.declined = "Your card was declined."
    shop.run(8)
    assert [state for state, _ in shop.orders()] == ["declined"]


def test_nothing_is_bought_for_somebody_who_became_a_member(shop: Shop) -> None:
    shop.want()
    shop.take(95)
    organisation.join("bob", "ada")
    begun = replace(members.MEMBERS.get()["bob"], starts_at=shop.now - DAY)
    members.MEMBERS.set(shop.office.app, {"ada": begun})
    shop.run()
    assert shop.orders() == []


def test_an_account_that_can_t_be_read_holds_up_no_other_and_no_order(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.want("aaron")
    shop.want()
    shop.take(95)
    read = short_period

    def fails_for_aaron(session: Session, wanted: AutoTopUp, now: datetime) -> Period | None:
        if wanted.user_id == "aaron":
            raise RuntimeError("A test.")
        return read(session, wanted, now)

    monkeypatch.setattr(orders, "short_period", fails_for_aaron)
    shop.run()
    assert shop.packs() == [100]


def test_what_stripe_says_of_our_key_is_not_told_to_the_account(shop: Shop) -> None:
    shop.want()
    shop.take(95)
    STRIPE_GATEWAY.set(shop.office.app, connect("sk_live_wrong_1234", base_url=shop.api.url))
    shop.tick()
    assert shop.orders() == [("ordered", "Stripe gives no answer.")]


@pytest.mark.database("postgresql")
def test_nothing_is_ordered_for_somebody_who_is_being_erased(shop: Shop) -> None:
    shop.want()
    shop.take(95)

    def order() -> None:
        with shop.office.app.app_context():
            orders.place_due(shop.now)

    ordering = threading.Thread(target=order)
    with transaction() as session:
        assert person_data.lock(session, "ada") == ["cus_ada"]
        ordering.start()
        wait_until_somebody_waits()
        assert store.remove(session, "ada")
    ordering.join()
    assert shop.orders() == []
