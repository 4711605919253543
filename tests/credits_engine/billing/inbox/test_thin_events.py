"""Thin events are pointers: followed with an API key, parked without one, ignored where nothing depends on them."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from credits_engine.billing.inbox.worker import StripeLookup
from credits_engine.billing.stripe_api import events
from credits_engine.billing.stripe_api.client import connect
from credits_engine.store.tables import PACKS
from tests.credits_engine.billing import fake_api
from tests.credits_engine.billing.conftest import Billing
from tests.credits_engine.billing.fake_api import KEY, FakeApi
from tests.credits_engine.billing.stripe_objects import Json
from tests.credits_engine.billing.virtual_sales import sell
from tests.credits_engine.billing.virtual_stripe import START, VirtualStripe

URLS = {
    "customer.subscription": "/v1/subscriptions/{id}",
    "invoice": "/v1/invoices/{id}",
    "charge": "/v1/charges/{id}",
    "checkout.session": "/v1/checkout/sessions/{id}",
}


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with fake_api.serving(VirtualStripe()) as found:
        yield found


def thin(event: Json, *, snapshot: bool) -> Json:
    """Return the thin event of a snapshot event."""
    stated, kind = event["data"]["object"], event["type"].rpartition(".")[0]
    return {
        "id": f"thin_{event['id']}",
        "object": events.THIN,
        "type": f"v1.{event['type']}",
        "created": datetime.fromtimestamp(event["created"], UTC).isoformat().replace("+00:00", "Z"),
        "livemode": True,
        "snapshot_event": event["id"] if snapshot else None,
        "related_object": {"id": stated["id"], "type": kind, "url": URLS.get(kind, "/v1/none").format(**stated)},
    }


def follow(billing: Billing, api: FakeApi, *deliveries: Json) -> None:
    billing.now = api.stripe.now
    billing.deliver(*deliveries)
    billing.work(doubts=StripeLookup(connect(KEY, base_url=api.url)))
    billing.work(doubts=StripeLookup(connect(KEY, base_url=api.url)))


@pytest.mark.parametrize("snapshot", [True, False], ids=["with a snapshot", "without"])
def test_a_life_told_by_thin_events_alone_ends_alike(billing: Billing, api: FakeApi, snapshot: bool) -> None:
    subscription = api.stripe.checkout("ada", "pro_monthly")
    sell(api.stripe, "ada", "pack_roast_100", customer="cus_ada")
    api.stripe.refund(subscription)
    api.stripe.cancel(subscription, at_once=True)
    told = [event for event in api.stripe.events if event["type"] != "invoice_payment.paid" or snapshot]
    linking = next(event for event in told if event["type"] == "checkout.session.completed")
    follow(billing, api, linking, *(thin(event, snapshot=snapshot) for event in told))
    assert [row["amount"] for row in billing.rows(PACKS)] == [100]
    assert set(billing.states().values()) <= {"applied", "superseded"}
    if snapshot:
        assert billing.user("ada")[0] == "free"


def test_a_snapshot_of_the_same_event_says_nothing_new(billing: Billing, api: FakeApi) -> None:
    api.stripe.checkout("ada", "pro_monthly")
    follow(billing, api, *api.stripe.events)
    paid = next(event for event in api.stripe.events if event["type"] == "invoice.paid")
    before = billing.final_state()
    follow(billing, api, thin(paid, snapshot=True))
    assert billing.final_state() == before
    assert billing.event(f"thin_{paid['id']}")["reason"] == "An earlier event said the same."


def test_a_pointer_to_what_credits_do_not_depend_on_is_ignored_with_and_without_a_key(
    billing: Billing, api: FakeApi
) -> None:
    api.stripe._send("price.created", {"id": "price_1", "object": "price"})
    pointer = thin(api.stripe.events[0], snapshot=True)
    billing.process([pointer], at=START)
    follow(billing, api, {**pointer, "id": "again"})
    assert set(billing.states().values()) == {"ignored"}


@pytest.mark.parametrize("kind", ["invoice.paid", "charge.refunded", "checkout.session.completed"])
def test_without_a_key_a_pointer_waits(billing: Billing, api: FakeApi, kind: str) -> None:
    api.stripe._send(kind, {"id": "x_1", "object": "x"})
    billing.process([thin(api.stripe.events[0], snapshot=True)], at=START)
    (event,) = billing.states().items()
    assert event[1] == "parked"
    assert billing.event(event[0])["waiting_for"] == "stripe:"


def test_a_pointer_out_of_stripes_api_is_not_followed(billing: Billing, api: FakeApi) -> None:
    subscription = api.stripe.checkout("ada", "pro_monthly")
    assert subscription.last_invoice
    pointer = thin(next(event for event in api.stripe.events if event["type"] == "invoice.paid"), snapshot=False)
    pointer["related_object"]["url"] = "//elsewhere.example/v1/invoices/1"
    follow(billing, api, pointer)
    assert billing.event(pointer["id"])["state"] == "new"
    assert "no address of Stripe's API" in billing.event(pointer["id"])["reason"]
