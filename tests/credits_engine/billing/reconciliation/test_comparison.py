from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from sqlalchemy import update

from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only, transaction
from credits_engine.billing.reconciliation.comparison import Discrepancy, DiscrepancyKind, reconcile
from credits_engine.billing.stripe_api import client
from credits_engine.billing.stripe_api.client import StripeGateway, connect
from credits_engine.store.tables import USERS
from tests.credits_engine.billing import fake_api
from tests.credits_engine.billing.conftest import Billing
from tests.credits_engine.billing.fake_api import KEY, FakeApi
from tests.credits_engine.billing.stripe_objects import Json
from tests.credits_engine.billing.virtual_collection import pause
from tests.credits_engine.billing.virtual_stripe import START, VirtualStripe

DAY = timedelta(days=1)


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with fake_api.serving(VirtualStripe()) as found:
        yield found


@pytest.fixture
def gateway(api: FakeApi) -> StripeGateway:
    return connect(KEY, base_url=api.url)


def compared(gateway: StripeGateway, billing: Billing, *, correct: bool = False) -> list[Discrepancy]:
    found = reconcile(gateway, now=billing.now, actor="olga", correct=correct)
    return [each for each in found if isinstance(each, Discrepancy)]


def lost(api: FakeApi, billing: Billing, is_lost: Callable[[Json], bool]) -> None:
    """Deliver everything but what is lost."""
    billing.process([event for event in api.stripe.events if not is_lost(event)], at=api.stripe.now)


def test_where_every_event_arrived_nothing_differs(api: FakeApi, gateway: StripeGateway, billing: Billing) -> None:
    for number in range(5):
        subscription = api.stripe.checkout(f"user{number}", "pro_monthly")
        api.stripe.pass_time(api.stripe.now + DAY)
    api.stripe.change_price(subscription, "plus_monthly", move_anchor=True)
    api.stripe.cancel(subscription, at_once=True)
    lost(api, billing, lambda _: False)
    before = billing.final_state()
    assert compared(gateway, billing) == []
    assert compared(gateway, billing, correct=True) == []
    assert billing.final_state() == before


def test_a_lost_renewal_upgrade_or_cancellation_is_found_and_corrected(
    api: FakeApi, gateway: StripeGateway, billing: Billing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "PAGE", 2)
    people = [api.stripe.checkout(f"user{number}", "starter_monthly") for number in range(4)]
    told = len(api.stripe.events)
    billing.process(api.stripe.events, at=START)
    api.stripe.change_price(people[0], "pro_monthly")
    api.stripe.pass_time(START + 3 * DAY)
    api.stripe.change_price(people[1], "plus_monthly", move_anchor=True)
    api.stripe.refund(people[2])
    api.stripe.cancel(people[2], at_once=True)
    billing.now = api.stripe.now
    findings = compared(gateway, billing)
    assert {each.kind for each in findings} == {DiscrepancyKind.MISSED_STATE}
    assert {each.user_id for each in findings} == {"user0", "user1", "user2"}
    assert billing.user("user0")[0] == "starter"
    corrected = compared(gateway, billing, correct=True)
    assert all(each.is_corrected for each in corrected)
    assert compared(gateway, billing) == []
    assert billing.user("user0")[0] == "pro"
    assert billing.user("user1") == ("plus", START + 3 * DAY)
    assert [start for start, _, _ in billing.periods("user1")] == [START, START + 3 * DAY]
    billing.process(api.stripe.events[told:], at=billing.now)
    assert [start for start, _, _ in billing.periods("user1")] == [START, START + 3 * DAY]
    with read_only() as session:
        trail = audit.latest(session, subject=f"stripe:{people[1].id}")
    assert [(entry.actor, entry.action) for entry in trail] == [("olga", "billing.reconcile")]


def test_lost_seats_and_a_longer_pause_are_named(api: FakeApi, gateway: StripeGateway, billing: Billing) -> None:
    held = api.stripe.checkout("ada", "pro_monthly")
    pause(api.stripe, held, "void", START + DAY)
    for event in api.stripe.events:
        for item in event["data"]["object"].get("items", {}).get("data", ()):
            item["quantity"] = 8
    billing.process(api.stripe.events, at=START)
    pause(api.stripe, held, "void", START + 2 * DAY)
    (found,) = compared(gateway, billing)
    assert found.sentence.startswith(
        "Stripe has prices pro_monthly instead of 8 pro_monthly, "
        f"collection paused until {START + 2 * DAY:%Y-%m-%dT%H:%M:%SZ} instead of {START + DAY:%Y-%m-%dT%H:%M:%SZ}, "
    )


def test_a_lost_payment_is_found_and_opens_the_period_it_paid_for(
    api: FakeApi, gateway: StripeGateway, billing: Billing
) -> None:
    subscription = api.stripe.checkout("ada", "starter_monthly")
    billing.process(api.stripe.events, at=START)
    api.stripe.pass_time(START + 3 * DAY)
    api.stripe.change_price(subscription, "pro_monthly", move_anchor=True)
    lost(api, billing, lambda event: event["type"].startswith("invoice"))
    assert len(billing.periods("ada")) == 1
    assert [each.kind for each in compared(gateway, billing)] == [DiscrepancyKind.MISSED_PAYMENT]
    compared(gateway, billing, correct=True)
    assert billing.periods("ada")[-1][0] == START + 3 * DAY
    assert compared(gateway, billing) == []


def test_a_directory_that_somebody_changed_by_hand_is_put_right(
    api: FakeApi, gateway: StripeGateway, billing: Billing
) -> None:
    api.stripe.checkout("ada", "pro_monthly")
    billing.process(api.stripe.events, at=START)
    with transaction() as session:
        session.execute(update(USERS).values(plan="free"))
    assert [each.kind for each in compared(gateway, billing)] == [DiscrepancyKind.WRONG_PLAN]
    compared(gateway, billing, correct=True)
    assert billing.user("ada") == ("pro", START)


def test_strangers_unsold_prices_and_vanished_subscriptions_are_named_and_left(
    api: FakeApi, gateway: StripeGateway, billing: Billing
) -> None:
    kept = api.stripe.checkout("ada", "pro_monthly")
    billing.process(api.stripe.events, at=START)
    del api.stripe.subscriptions[kept.id]
    stranger = api.stripe.open("cus_stranger", "pro_monthly")
    left = api.stripe.open("cus_left", "pro_monthly")
    api.stripe.cancel(left, at_once=True)
    api.prices = ("pro_monthly", "galaxy_monthly")
    findings = {(each.kind, each.subscription_id) for each in compared(gateway, billing, correct=True)}
    assert findings == {
        (DiscrepancyKind.UNKNOWN_PRICE, ""),
        (DiscrepancyKind.UNKNOWN_CUSTOMER, stranger.id),
        (DiscrepancyKind.GONE, kept.id),
    }
    assert billing.user("ada")[0] == "pro"


def test_a_stranger_who_names_its_user_is_taken_in(api: FakeApi, gateway: StripeGateway, billing: Billing) -> None:
    api.stripe.open("cus_new", "pro_monthly", metadata={"user_id": "newton"})
    billing.now = START
    (finding,) = compared(gateway, billing, correct=True)
    assert finding.is_corrected
    assert billing.user("newton") == ("pro", START)
