from collections.abc import Iterator
from datetime import timedelta

import pytest
import stripe as stripe_library

from credits_engine.billing.facts import InvoicePaid, Snapshot, Source, Status
from credits_engine.billing.inbox.worker import StripeLookup, ambiguous
from credits_engine.billing.models import EVENTS
from credits_engine.billing.stripe_api import client
from credits_engine.billing.stripe_api.client import (
    API_VERSION,
    FAILURES_MAX,
    PAUSE_SECONDS,
    Breaker,
    BreakerOpenError,
    StripeGateway,
    StripeUnavailableError,
    connect,
)
from tests.credits_engine.billing import fake_api
from tests.credits_engine.billing.conftest import Billing
from tests.credits_engine.billing.fake_api import KEY, FakeApi
from tests.credits_engine.billing.stories import facts_of
from tests.credits_engine.billing.stripe_objects import NEW, Json
from tests.credits_engine.billing.virtual_stripe import START, VirtualStripe

DAY = timedelta(days=1)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeApi]:
    """A fake Stripe, and an official client that does not sleep between its retries."""
    monkeypatch.setattr(stripe_library.HTTPClient, "INITIAL_DELAY", 0.0)
    monkeypatch.setattr(stripe_library.HTTPClient, "MAX_DELAY", 0.0)
    with fake_api.serving(VirtualStripe()) as found:
        yield found


@pytest.fixture
def gateway(api: FakeApi) -> StripeGateway:
    return connect(KEY, base_url=api.url)


def thin(subscription_id: str) -> Json:
    return {
        "id": f"evt_thin_{subscription_id}",
        "object": "v2.core.event",
        "type": "v1.customer.subscription.updated",
        "created": "2026-11-12T08:00:00.000Z",
        "livemode": True,
        "related_object": {
            "id": subscription_id,
            "type": "subscription",
            "url": f"/v1/subscriptions/{subscription_id}",
        },
    }


def test_the_pinned_version_is_the_one_the_official_library_was_made_for() -> None:
    assert stripe_library.api_version == API_VERSION == NEW


def test_a_subscription_comes_with_its_payment_dated_by_stripes_clock(api: FakeApi, gateway: StripeGateway) -> None:
    subscription = api.stripe.checkout("ada", "pro_monthly")
    api.stripe.pass_time(START + DAY)
    snapshot, paid = gateway.subscription(subscription.id)
    assert isinstance(snapshot, Snapshot)
    assert (snapshot.source, snapshot.status, snapshot.at) == (Source.FETCHED, Status.ACTIVE, START + DAY)
    assert isinstance(paid, InvoicePaid)
    assert paid.period is not None
    assert paid.period.start == START
    assert api.asked == [(f"/v1/subscriptions/{subscription.id}?expand[0]=latest_invoice", API_VERSION)]


def test_a_fetched_fact_says_the_same_as_the_event(api: FakeApi, gateway: StripeGateway) -> None:
    subscription = api.stripe.checkout("ada", "pro_monthly")
    told_by_events = {fact.identity: fact for fact in facts_of(api.stripe.events)}
    snapshot, paid = gateway.subscription(subscription.id)
    newest = [fact for fact in told_by_events.values() if isinstance(fact, Snapshot)][-1]
    assert isinstance(snapshot, Snapshot)
    assert snapshot.content == newest.content
    assert told_by_events[paid.identity] == paid


def test_a_subscription_that_stripe_does_not_have_is_nothing(gateway: StripeGateway) -> None:
    assert gateway.subscription("sub_none") == ()


def test_every_page_is_read(api: FakeApi, gateway: StripeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PAGE", 3)
    for number in range(7):
        api.stripe.open(f"cus_{number}", "starter_monthly")
    assert [len(page) for page in gateway.pages()] == [3, 3, 1]
    assert len(api.asked) == 3


@pytest.mark.parametrize("failures", [[500], [0], [503, 0]])
def test_passing_failures_are_tried_again(api: FakeApi, gateway: StripeGateway, failures: list[int]) -> None:
    subscription = api.stripe.checkout("ada", "pro_monthly")
    api.statuses = list(failures)
    assert gateway.subscription(subscription.id)
    assert len(api.asked) == len(failures) + 1


def test_a_wrong_key_is_said_so(api: FakeApi) -> None:
    with pytest.raises(StripeUnavailableError, match="AuthenticationError"):
        connect("sk_test_wrong", base_url=api.url).subscription("sub_1")


def test_after_some_failures_nobody_asks_until_the_pause_is_over(api: FakeApi) -> None:
    seconds = [0.0]
    patient = StripeGateway(connect(KEY, base_url=api.url).client, Breaker(lambda: seconds[0]))
    api.stripe.checkout("ada", "pro_monthly")
    api.statuses = [500] * 100
    for _ in range(FAILURES_MAX):
        with pytest.raises(StripeUnavailableError):
            patient.subscription("sub_1")
    asked = len(api.asked)
    with pytest.raises(BreakerOpenError):
        patient.subscription("sub_1")
    assert len(api.asked) == asked
    seconds[0] = PAUSE_SECONDS
    with pytest.raises(StripeUnavailableError):
        patient.subscription("sub_1")
    with pytest.raises(BreakerOpenError):
        patient.subscription("sub_1")
    seconds[0] = 2 * PAUSE_SECONDS
    api.statuses = []
    assert patient.subscription("sub_1")
    assert patient.subscription("sub_1")


def test_an_answer_that_can_not_be_read_is_no_answer(api: FakeApi, gateway: StripeGateway) -> None:
    api.stripe.checkout("ada", "pro_monthly").status = "enlightened"
    with pytest.raises(StripeUnavailableError, match="enlightened"):
        gateway.subscription("sub_1")


def test_what_events_tell_in_order_leaves_no_doubt() -> None:
    stripe = VirtualStripe()
    stripe.checkout("ada", "pro_monthly")
    known = facts_of(stripe.events)
    assert ambiguous(known, ()) == set()


def test_two_updates_of_one_second_that_do_not_tell_their_order_are_doubtful() -> None:
    stripe = VirtualStripe()
    subscription = stripe.checkout("ada", "pro_monthly")
    stripe.pass_time(START + DAY)
    stripe.cancel(subscription)
    stripe.stay(subscription)
    for event in stripe.events[-2:]:
        event["data"].pop("previous_attributes")
    assert ambiguous(facts_of(stripe.events), ()) == {subscription.id}


def test_a_doubt_is_settled_by_asking(api: FakeApi, gateway: StripeGateway, billing: Billing) -> None:
    subscription = api.stripe.checkout("ada", "pro_monthly")
    api.stripe.pass_time(START + DAY)
    for _ in range(2):
        api.stripe.cancel(subscription)
        api.stripe.stay(subscription)
    for event in api.stripe.events[-4:]:
        event["data"].pop("previous_attributes")
    api.stripe.pass_time(START + 2 * DAY)
    billing.deliver(*reversed(api.stripe.events))
    billing.work(at=api.stripe.now, doubts=StripeLookup(gateway))
    assert billing.account("ada")["due_at"] == START.replace(month=12)
    assert billing.user("ada") == ("pro", START)
    assert api.asked
    billing.work(at=START.replace(month=12) + DAY)
    assert billing.user("ada")[0] == "pro"


def test_a_doubt_that_can_not_be_settled_hinders_nothing(
    api: FakeApi, gateway: StripeGateway, billing: Billing
) -> None:
    api.stripe.checkout("ada", "pro_monthly")
    api.statuses = [500] * 1000
    paid = next(event for event in api.stripe.events if event["type"] == "invoice.paid")
    billing.deliver(paid, *api.stripe.events)
    billing.work(at=api.stripe.now, doubts=StripeLookup(gateway))
    assert billing.user("ada") == ("pro", START)


def test_a_thin_event_is_followed_and_waits_where_we_may_not_ask(
    api: FakeApi, gateway: StripeGateway, billing: Billing
) -> None:
    subscription = api.stripe.open("cus_ada", "pro_monthly", metadata={"user_id": "ada"})
    billing.deliver(thin(subscription.id))
    billing.work(at=api.stripe.now)
    (waiting,) = billing.rows(EVENTS)
    assert (waiting["state"], waiting["waiting_for"]) == ("parked", "stripe:")
    billing.deliver({**thin(subscription.id), "id": "evt_second"})
    billing.work(doubts=StripeLookup(gateway))
    assert billing.event("evt_second")["state"] == "applied"
    assert billing.user("ada") == ("pro", START)
