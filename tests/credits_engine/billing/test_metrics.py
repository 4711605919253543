"""What billing tells the guard about deliveries and periods."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import update

from control_plane.platform.db.database import transaction
from control_plane.platform.observability.signals import BUFFER, SeriesKey
from credits_engine.billing import metrics
from credits_engine.billing.models import ACCOUNTS
from credits_engine.billing.reconciliation.comparison import reconcile
from credits_engine.billing.stripe_api.client import connect
from tests.credits_engine.billing import fake_api
from tests.credits_engine.billing.conftest import Billing, sign
from tests.credits_engine.billing.fake_api import KEY, FakeApi
from tests.credits_engine.billing.virtual_stripe import START, VirtualStripe


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with fake_api.serving(VirtualStripe()) as found:
        yield found


def counted(billing: Billing, signal: str) -> tuple[int, list[str]]:
    """Return the number of good outcomes since the last call, and the accounts of the bad; an anonymous one is `-`."""
    good, bad, accounts = BUFFER.get(billing.app).take()
    named = [failure.account for failure in accounts if failure.signal == signal]
    return good[SeriesKey(signal)], named + ["-"] * bad[SeriesKey(signal)]


def compare(api: FakeApi, billing: Billing) -> None:
    counted(billing, metrics.PERIOD_DIFFERS)
    list(reconcile(connect(KEY, base_url=api.url), now=billing.now, actor="olga"))


def test_a_delivery_is_judged_by_its_signature_and_not_by_what_it_holds(billing: Billing) -> None:
    stripe = VirtualStripe()
    stripe.checkout("ada", "pro_monthly")
    for body in (stripe.events[0], stripe.events[0], b"no event at all"):
        billing.post(body)
    assert counted(billing, metrics.SIGNATURE) == (3, [])
    for header in ("", "t=1,v1=" + "0" * 64, sign(b"another body")):
        billing.post(stripe.events[0], header=header)
    assert counted(billing, metrics.SIGNATURE) == (0, ["-"] * 3)


def test_periods_that_end_as_stripe_ends_them_are_good(api: FakeApi, billing: Billing) -> None:
    for name, price in (("ada", "pro_monthly"), ("bob", "starter_monthly"), ("eve", "pro_yearly")):
        api.stripe.checkout(name, price)
    billing.process(api.stripe.events, at=START)
    compare(api, billing)
    assert counted(billing, metrics.PERIOD_DIFFERS) == (3, [])


@pytest.mark.parametrize(("seconds", "expected"), [(60, (1, [])), (61, (0, ["sub_1"])), (-61, (0, ["sub_1"]))])
def test_more_than_a_minute_apart_is_bad(
    api: FakeApi, billing: Billing, seconds: int, expected: tuple[int, list[str]]
) -> None:
    subscription = api.stripe.checkout("ada", "pro_monthly")
    assert subscription.id == "sub_1"
    billing.process(api.stripe.events, at=START)
    moved = billing.account("ada")["service_end"] + timedelta(seconds=seconds)
    with transaction() as session:
        session.execute(update(ACCOUNTS).values(service_end=moved))
    compare(api, billing)
    assert counted(billing, metrics.PERIOD_DIFFERS) == expected


def test_a_renewal_that_we_never_heard_of_is_bad_and_a_stranger_is_no_evidence(api: FakeApi, billing: Billing) -> None:
    renewed = api.stripe.checkout("ada", "pro_monthly")
    api.stripe.open("cus_stranger", "pro_monthly")
    billing.process(api.stripe.events, at=START)
    api.stripe.pass_time(START + timedelta(days=40))
    billing.now = api.stripe.now
    compare(api, billing)
    assert counted(billing, metrics.PERIOD_DIFFERS) == (0, [renewed.id])


def test_what_stripe_has_and_no_event_told_is_missed_until_it_is_told(api: FakeApi, billing: Billing) -> None:
    renewed = api.stripe.checkout("ada", "pro_monthly")
    api.stripe.checkout("bob", "pro_yearly")
    api.stripe.open("cus_stranger", "pro_yearly")
    billing.process(api.stripe.events, at=START)
    compare(api, billing)
    assert counted(billing, metrics.MISSED) == (3, []), "a stranger's was told, and waits for a name"
    api.stripe.pass_time(START + timedelta(days=40))
    billing.now = api.stripe.now
    compare(api, billing)
    assert counted(billing, metrics.MISSED) == (2, [renewed.id])
    billing.process(api.stripe.events, at=billing.now)
    compare(api, billing)
    assert counted(billing, metrics.MISSED) == (3, [])


def test_money_that_was_given_back_counts_once_for_each_charge(billing: Billing) -> None:
    stripe = VirtualStripe()
    subscription = stripe.checkout("ada", "pro_monthly")
    stripe.checkout("bob", "pro_monthly")
    billing.process(stripe.events, at=START)
    assert counted(billing, metrics.REFUNDED) == (2, [])
    billing.process(stripe.events, at=START)
    assert counted(billing, metrics.REFUNDED) == (0, []), "what is told again was paid once"
    stripe.refund(subscription, 0.25)
    stripe.refund(subscription)
    billing.process(stripe.events, at=START + timedelta(days=1))
    (charge,) = {
        each["id"] for event in stripe.events if "refund" in event["type"] for each in [event["data"]["object"]]
    }
    assert counted(billing, metrics.REFUNDED) == (0, [charge])
