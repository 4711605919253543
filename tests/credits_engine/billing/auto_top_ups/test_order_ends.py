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
from credits_engine.billing.auto_top_ups.order_conditions import short_period
from credits_engine.billing.auto_top_ups.payment import PAID_WITHIN
from credits_engine.billing.auto_top_ups.rules import GIVE_UP_AFTER, AutoTopUp
from credits_engine.billing.store import auto_top_ups as store
from credits_engine.billing.stripe_api.client import STRIPE_GATEWAY, connect
from credits_engine.engines.periods import Period
from credits_engine.erasure import person_data
from credits_engine.operations import members
from credits_engine.store.tables import PACKS
from tests.credits_engine import organisation
from tests.credits_engine.billing.auto_top_ups.conftest import PackBuyer
from tests.credits_engine.billing.fake_invoicing import Answer
from tests.credits_engine.billing.stripe_objects import Json
from tests.credits_engine.billing.virtual_collection import credit_note
from tests.credits_engine.billing.virtual_sales import give_back
from tests.statements import wait_until_somebody_waits

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def test_a_pack_that_was_paid_before_a_crash_counts_though_it_is_not_sold_any_more(buyer: PackBuyer) -> None:
    buyer.want(most=1)
    buyer.take(95)
    buyer.api.invoicing.lost = ["pay"] * 3
    buyer.tick()
    buyer.api.packs = ()
    buyer.tick(40 * timedelta(seconds=1))
    assert [state for state, _ in buyer.orders()] == ["charged"]
    buyer.receive_events()
    buyer.run()
    assert (buyer.orders(), buyer.packs()) == ([("paid", None)], [100])


@pytest.mark.parametrize("step", ["invoices", "finalize"])
@pytest.mark.parametrize("hindrance", ["late", "no price", "frozen"])
def test_what_was_begun_and_is_not_to_be_paid_any_more_is_taken_back(
    buyer: PackBuyer, step: str, hindrance: str
) -> None:
    buyer.want()
    buyer.take(95)
    buyer.api.invoicing.lost = [step] * 3
    buyer.tick()
    later = 40 * timedelta(seconds=1)
    if hindrance == "late":
        later = GIVE_UP_AFTER + HOUR
    elif hindrance == "no price":
        buyer.api.packs = ()
    else:
        with transaction() as session:
            corrections.freeze(session, "ada", ChangeContext(buyer.now, "alice", "Asked by the bank."))
    buyer.tick(later)
    buyer.run()
    assert [state for state, _ in buyer.orders()] == ["declined"]
    assert buyer.api.invoicing.charged == []
    assert {each["status"] for each in buyer.api.invoicing.invoices.values()} <= {"void"}
    assert buyer.wanted().stopped_at is not None


def test_a_direct_debit_that_never_comes_is_given_up_and_its_invoice_voided(
    buyer: PackBuyer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buyer.api.invoicing, "_pay", lambda invoice: (200, invoice))
    buyer.want()
    buyer.take(95)
    buyer.tick()
    buyer.tick(PAID_WITHIN - HOUR)
    assert [state for state, _ in buyer.orders()] == ["charged"]
    buyer.tick(2 * HOUR)
    buyer.run()
    assert buyer.orders() == [("declined", "Stripe got no money within 21 days.")]
    assert [each["status"] for each in buyer.api.invoicing.invoices.values()] == ["void"]


def test_an_invoice_that_is_paid_while_it_is_voided_buys_its_pack(
    buyer: PackBuyer, monkeypatch: pytest.MonkeyPatch
) -> None:
    buyer.want()
    buyer.take(95)
    invoicing = buyer.api.invoicing
    invoicing.declined = "Your card was declined."
    buyer.tick()
    assert [state for state, _ in buyer.orders()] == ["voiding"]
    invoicing.declined = ""
    void = invoicing._void

    def paid_before(invoice: Json) -> Answer:
        invoicing._pay(invoice)
        return void(invoice)

    monkeypatch.setattr(invoicing, "_void", paid_before)
    buyer.run()
    assert (buyer.packs(), [state for state, _ in buyer.orders()]) == ([100], ["paid"])


@pytest.mark.parametrize("how", ["refund", "dispute", "note"])
def test_whose_money_went_back_is_not_charged_again_before_they_ask(buyer: PackBuyer, how: str) -> None:
    buyer.want()
    buyer.take(95)
    buyer.run()
    (invoice_id,) = buyer.api.invoicing.charged
    payment = {"id": "inpay_1", "object": "invoice_payment", "invoice": invoice_id, "status": "paid"}
    intent = {"type": "payment_intent", "payment_intent": "pi_9"}
    buyer.api.stripe._send("invoice_payment.paid", {**payment, "payment": intent})
    if how == "refund":
        give_back(buyer.api.stripe, {"payment_intent": "pi_9", "customer": "cus_ada"})
    elif how == "note":
        credit_note(buyer.api.stripe, {"id": invoice_id, "customer": "cus_ada"}, 1_000)
    else:
        dispute = {"id": "dp_1", "object": "dispute", "charge": "ch_pi_9", "amount": 1_000, "status": "needs_response"}
        buyer.api.stripe._send("charge.dispute.created", {**dispute, "payment_intent": "pi_9"})
    buyer.receive_events()
    assert buyer.billing.rows(PACKS)[0]["remaining"] == 0
    buyer.take(4)
    buyer.run()
    assert len(buyer.api.invoicing.charged) == 1
    assert buyer.wanted().stopped_reason == "The money of such a pack was refunded, or is disputed."
    buyer.now += HOUR
    buyer.want()
    buyer.run()
    assert len(buyer.api.invoicing.charged) == 2


def test_a_decline_stops_what_was_asked_for_by_a_clock_that_is_ahead(buyer: PackBuyer) -> None:
    buyer.now += HOUR
    buyer.want()
    buyer.now -= HOUR
    buyer.take(95)
    buyer.api.invoicing.declined = "Your card was declined."
    buyer.run(8)
    assert [state for state, _ in buyer.orders()] == ["declined"]


def test_nothing_is_bought_for_somebody_who_became_a_member(buyer: PackBuyer) -> None:
    buyer.want()
    buyer.take(95)
    organisation.join("bob", "ada")
    begun = replace(members.MEMBERS.get()["bob"], starts_at=buyer.now - DAY)
    members.MEMBERS.set(buyer.billing.app, {"ada": begun})
    buyer.run()
    assert buyer.orders() == []


def test_an_account_that_can_t_be_read_holds_up_no_other_and_no_order(
    buyer: PackBuyer, monkeypatch: pytest.MonkeyPatch
) -> None:
    buyer.want("aaron")
    buyer.want()
    buyer.take(95)
    read = short_period

    def fails_for_aaron(session: Session, wanted: AutoTopUp, now: datetime) -> Period | None:
        if wanted.user_id == "aaron":
            raise RuntimeError("A test.")
        return read(session, wanted, now)

    monkeypatch.setattr(orders, "short_period", fails_for_aaron)
    buyer.run()
    assert buyer.packs() == [100]


def test_what_stripe_says_of_our_key_is_not_told_to_the_account(buyer: PackBuyer) -> None:
    buyer.want()
    buyer.take(95)
    STRIPE_GATEWAY.set(buyer.billing.app, connect("sk_live_wrong_1234", base_url=buyer.api.url))
    buyer.tick()
    assert buyer.orders() == [("ordered", "Stripe gives no answer.")]


@pytest.mark.database("postgresql")
def test_nothing_is_ordered_for_somebody_who_is_being_erased(buyer: PackBuyer) -> None:
    buyer.want()
    buyer.take(95)

    def order() -> None:
        with buyer.billing.app.app_context():
            orders.place_due(buyer.now)

    ordering = threading.Thread(target=order)
    with transaction() as session:
        assert person_data.lock(session, "ada") == ["cus_ada"]
        ordering.start()
        wait_until_somebody_waits()
        assert store.remove(session, "ada")
    ordering.join()
    assert buyer.orders() == []
