import json
from datetime import timedelta

import pytest

from credits_engine.billing import schedule
from credits_engine.billing.entitlements.price_list import PRICE_LIST, PriceList
from credits_engine.billing.models import EVENTS
from credits_engine.engines.credit_plan import CreditPlan
from credits_engine.engines.plans import CATALOGUE, Catalogue
from tests.credits_engine.billing.conftest import Billing
from tests.credits_engine.billing.guard_counts import failures
from tests.credits_engine.billing.stories import a_subscriber
from tests.credits_engine.billing.stripe_objects import GENERATIONS
from tests.credits_engine.billing.virtual_stripe import START, VirtualStripe

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize("text", ["a\x00b", "a\ud800b"])
def test_what_no_database_can_store_is_read_as_a_replacement(billing: Billing, text: str) -> None:
    told = json.dumps(a_subscriber("eve")).replace('"pro_monthly"', json.dumps(text))
    billing.deliver(*json.loads(told), *a_subscriber("ada"))
    billing.work()
    waiting = [row for row in billing.rows(EVENTS) if row["state"] not in ("applied", "superseded")]
    assert {(row["state"], row["waiting_for"]) for row in waiting} == {("parked", "price:a\ufffdb")}
    assert billing.user("ada") == ("pro", START)


def test_a_poisonous_event_stops_nobody_else(billing: Billing) -> None:
    poison = a_subscriber("eve")[0]
    poison["data"]["object"]["status"] = "enlightened"
    billing.deliver(poison, *a_subscriber("ada"))
    billing.work()
    assert billing.event(poison["id"])["state"] == "dead"
    assert "unknown_status: Subscription sub_eve1 has the status 'enlightened'" in billing.event(poison["id"])["reason"]
    assert billing.user("ada") == ("pro", START)


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("kind", ["customer.subscription.updated", "invoice.paid"])
def test_a_missing_period_is_set_aside_and_never_silently_passed(billing: Billing, generation: str, kind: str) -> None:
    event = next(each for each in a_subscriber(generation=generation) if each["type"] == kind)
    stated = event["data"]["object"]
    for part in (stated, *stated.get("items", {}).get("data", ())):
        part.pop("current_period_start", None)
    for line in stated.get("lines", {}).get("data", ()):
        del line["period"]
    billing.deliver(event)
    billing.work()
    assert billing.event(event["id"])["state"] == "dead"
    assert billing.event(event["id"])["reason"].startswith("no_period: ")
    assert failures(billing) == (1, 1)


def test_events_of_a_stranger_wait_until_somebody_says_who_it_is(billing: Billing) -> None:
    *others, checkout = a_subscriber()
    billing.deliver(*others)
    billing.work()
    waiting = {each["type"]: billing.event(each["id"]) for each in others}
    assert {row["state"] for kind, row in waiting.items() if kind != "invoice_payment.paid"} == {"parked"}
    assert waiting["invoice.paid"]["waiting_for"] == "customer:cus_ada"
    assert failures(billing)[0] == 0
    billing.deliver(checkout)
    billing.work(at=billing.now + MINUTE)
    assert set(billing.states().values()) <= {"applied", "superseded"}
    assert billing.user("ada") == ("pro", START)


def test_an_unknown_price_waits_for_the_catalogue_and_is_no_free_plan(
    billing: Billing, monkeypatch: pytest.MonkeyPatch
) -> None:
    stripe = VirtualStripe()
    subscription = stripe.checkout("ada", "starter_monthly")
    stripe.change_price(subscription, "galaxy_monthly")
    billing.process(stripe.events, at=START)
    (parked,) = [row for row in billing.rows(EVENTS) if row["state"] == "parked"]
    assert parked["waiting_for"] == "price:galaxy_monthly"
    assert "galaxy_monthly, which buys no plan we know" in parked["reason"]
    assert billing.user("ada")[0] == "starter"
    assert failures(billing)[0] == 1
    assert schedule.release_priced(billing.now) == 0
    plus = CATALOGUE.plan("plus")
    galaxy = CreditPlan("galaxy", "Galaxy", v2=plus.v2, legacy=plus.legacy, price_keys=("galaxy_monthly",))
    PRICE_LIST.set(billing.app, PriceList(Catalogue((*CATALOGUE, galaxy))))
    monkeypatch.setattr("credits_engine.operations.account_books.CATALOGUE", Catalogue((*CATALOGUE, galaxy)))
    assert schedule.release_priced(billing.now) == 1
    billing.work()
    assert billing.user("ada")[0] == "galaxy"
    assert "parked" not in billing.states().values()


def test_a_customer_who_would_become_somebody_else_is_set_aside(billing: Billing) -> None:
    billing.process(a_subscriber(), at=START)
    theft = VirtualStripe(name="x")
    theft.checkout("mallory", "pro_monthly", customer="cus_ada")
    billing.process(theft.events[-1:], at=START)
    assert billing.event(theft.events[-1]["id"])["state"] == "dead"
    assert "Customer cus_ada is user ada" in billing.event(theft.events[-1]["id"])["reason"]


def test_an_older_state_is_recorded_as_superseded(billing: Billing) -> None:
    stripe = VirtualStripe()
    subscription = stripe.checkout("ada", "pro_monthly")
    stripe.pass_time(START + timedelta(days=2))
    stripe.change_price(subscription, "plus_monthly")
    newest = next(each for each in reversed(stripe.events) if each["type"] == "customer.subscription.updated")
    billing.process([stripe.events[-1], newest], at=stripe.now)
    billing.process(stripe.events, at=stripe.now + MINUTE)
    older = [each for each in stripe.events if each["type"].startswith("customer.sub") and each is not newest]
    assert {billing.states()[each["id"]] for each in older} == {"superseded"}
    assert "known as of 2026-11-12T08:00:00Z, which is later" in billing.event(older[0]["id"])["reason"]
    assert billing.user("ada")[0] == "plus"


def test_bodies_are_dropped_after_ninety_days_and_ids_are_kept(billing: Billing) -> None:
    events = a_subscriber()
    billing.process(events, at=START)
    assert schedule.purge_payloads(START + timedelta(days=90)) == 0
    assert schedule.purge_payloads(START + timedelta(days=91)) == len(events)
    before = billing.final_state()
    billing.process(events, at=START + timedelta(days=92))
    assert billing.final_state() == before
