"""The comparison with Stripe by itself: when it runs, what it finds, and what a person makes of it."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from control_plane.change_context import ChangeContext
from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only
from control_plane.platform.observability.signals import BUFFER, SeriesKey
from control_plane.platform.problems import Problem
from credits_engine.billing import metrics, schedule
from credits_engine.billing.models import CHECKS, FINDINGS
from credits_engine.billing.reconciliation import corrections
from credits_engine.billing.reconciliation.jobs import check, check_when_due
from credits_engine.billing.stripe_api import client
from credits_engine.billing.stripe_api.client import StripeGateway, connect
from credits_engine.store.tables import PACKS
from tests.credits_engine.billing import fake_api
from tests.credits_engine.billing.conftest import Billing
from tests.credits_engine.billing.fake_api import KEY, FakeApi
from tests.credits_engine.billing.stripe_objects import GENERATIONS, Json
from tests.credits_engine.billing.virtual_sales import give_back, sell
from tests.credits_engine.billing.virtual_stripe import VirtualStripe

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


@pytest.fixture(params=[GENERATIONS[0], GENERATIONS[-1]])
def api(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeApi]:
    monkeypatch.setattr(client, "RETRIES", 0)
    with fake_api.serving(VirtualStripe(request.param)) as found:
        yield found


@pytest.fixture
def gateway(api: FakeApi) -> StripeGateway:
    return connect(KEY, base_url=api.url)


def lose(api: FakeApi, billing: Billing, is_lost: Callable[[Json], bool]) -> None:
    """Deliver everything but what is lost, and let an hour pass."""
    billing.process([event for event in api.stripe.events if not is_lost(event)], at=api.stripe.now)
    billing.now = api.stripe.now = api.stripe.now + HOUR


def found(billing: Billing) -> dict[str, list[str]]:
    """Return the open findings: the objects of each kind."""
    kinds: dict[str, list[str]] = {}
    for row in billing.rows(FINDINGS):
        if row["closed_at"] is None:
            kinds.setdefault(row["kind"], []).append(row["object_id"])
    return kinds


def correct(billing: Billing, gateway: StripeGateway, kind: str) -> None:
    for row in billing.rows(FINDINGS, kind=kind):
        if row["closed_at"] is None:
            corrections.apply(gateway, row["id"], ChangeContext(billing.now, "olga", "It was lost."))
    billing.work()


def test_it_runs_daily_and_after_an_outage_and_soon_after_stripe_failed(
    billing: Billing, api: FakeApi, gateway: StripeGateway
) -> None:
    def looks(minutes: float, *, expected: bool) -> None:
        billing.now += timedelta(minutes=minutes)
        assert check_when_due(gateway, billing.now) is expected

    looks(0, expected=True)
    looks(1, expected=False)
    looks(11, expected=True)
    for _ in range(160):
        looks(9, expected=(billing.now - billing.rows(CHECKS)[0]["tried_at"]) + 9 * MINUTE >= DAY)
    api.statuses = [500] * 9
    looks(11, expected=True)
    assert "APIError" in billing.rows(CHECKS)[0]["error"]
    api.statuses = []
    gateway.breaker.succeeded()
    looks(9, expected=False)
    looks(9, expected=True)
    assert billing.rows(CHECKS)[0]["error"] is None


def test_without_a_key_nobody_is_asked(billing: Billing) -> None:
    assert check_when_due(None, billing.now) is False
    schedule.check(billing.now)
    assert billing.rows(CHECKS) == []


def test_where_every_event_came_nothing_is_found(billing: Billing, api: FakeApi, gateway: StripeGateway) -> None:
    subscription = api.stripe.checkout("ada", "pro_monthly")
    api.stripe.refund(subscription, 0.5)
    sale = sell(api.stripe, "ada", "pack_roast_100", customer="cus_ada")
    give_back(api.stripe, sale)
    lose(api, billing, lambda _: False)
    check(gateway, billing.now)
    assert found(billing) == {}
    assert billing.rows(CHECKS)[0]["compared"] == 1


def test_a_gap_in_stripes_events_is_seen_told_and_filled_by_order_alone(
    billing: Billing, api: FakeApi, gateway: StripeGateway
) -> None:
    subscription = api.stripe.checkout("ada", "pro_monthly")
    lose(api, billing, lambda _: False)
    api.stripe.cancel(subscription, at_once=True)
    api.stripe.refund(subscription)
    lost = [event["id"] for event in api.stripe.events[-2:]]
    lose(api, billing, lambda event: event["id"] in lost)
    BUFFER.get(billing.app).take()
    check(gateway, billing.now)
    assert sorted(found(billing)["missed_event"]) == sorted(lost)
    _, bad, accounts = BUFFER.get(billing.app).take()
    named = [each.account for each in accounts if each.signal == metrics.EVENT_MISSED]
    assert len(named) + bad[SeriesKey(metrics.EVENT_MISSED)] == 2
    assert billing.user("ada")[0] == "pro", "nothing is applied by itself"
    correct(billing, gateway, "missed_event")
    assert billing.user("ada")[0] == "free"
    billing.now += HOUR
    check(gateway, billing.now)
    assert found(billing) == {}


def test_what_is_still_missing_a_day_later_is_still_found(
    billing: Billing, api: FakeApi, gateway: StripeGateway
) -> None:
    api.stripe.checkout("ada", "pro_monthly")
    lost = next(event["id"] for event in api.stripe.events if event["type"] == "invoice.paid")
    lose(api, billing, lambda event: event["id"] == lost or event["type"] == "invoice.payment_succeeded")
    for _ in range(3):
        check(gateway, billing.now)
        assert lost in found(billing)["missed_event"]
        billing.now += DAY
    billing.process(api.stripe.events, at=billing.now)
    check(gateway, billing.now)
    assert found(billing) == {}, "it came after all"


def test_payments_refunds_and_packs_are_compared_beside_the_events(
    billing: Billing, api: FakeApi, gateway: StripeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscription = api.stripe.checkout("ada", "pro_monthly")
    sale = sell(api.stripe, "ada", "pack_roast_100", customer="cus_ada")
    lose(api, billing, lambda event: "invoice" in event["type"] or event["data"]["object"]["id"] == sale["id"])
    api.stripe.refund(subscription)
    monkeypatch.setattr(api, "_of", lambda kind, real=api._of: [] if kind == "events" else real(kind))
    billing.now = api.stripe.now = api.stripe.now + HOUR
    check(gateway, billing.now)
    kinds = found(billing)
    assert kinds["missed_pack"] == [sale["id"]]
    assert subscription.last_invoice
    assert kinds["missed_invoice"] == [subscription.last_invoice["id"]]
    assert len(kinds["missed_refund"]) == 1
    for kind in ("missed_pack", "missed_invoice", "missed_refund"):
        correct(billing, gateway, kind)
    assert [row["remaining"] for row in billing.rows(PACKS)] == [100]
    billing.now += HOUR
    check(gateway, billing.now)
    assert found(billing) == {}


def test_a_state_that_differs_is_named_and_corrected(billing: Billing, api: FakeApi, gateway: StripeGateway) -> None:
    subscription = api.stripe.checkout("ada", "starter_monthly")
    lose(api, billing, lambda _: False)
    api.stripe._change(subscription, price="plus_monthly")
    del api.stripe.events[-1]
    billing.now = api.stripe.now = api.stripe.now + HOUR
    check(gateway, billing.now)
    (row,) = billing.rows(FINDINGS)
    assert "prices plus_monthly instead of starter_monthly" in row["sentence"]
    assert (row["kind"], row["user_id"]) == ("missed_state", "ada")
    correct(billing, gateway, "missed_state")
    assert billing.user("ada")[0] == "plus"
    with read_only() as session:
        entries = [entry for entry in audit.every(session) if entry.action == "billing.finding"]
    assert [entry.actor for entry in entries] == ["olga"]


def test_what_stripe_does_not_answer_about_one_part_keeps_no_other_from_it(
    billing: Billing, api: FakeApi, gateway: StripeGateway
) -> None:
    subscription = api.stripe.checkout("ada", "pro_monthly")
    lose(api, billing, lambda _: False)
    api.stripe.cancel(subscription, at_once=True)
    billing.now = api.stripe.now = api.stripe.now + HOUR
    api.statuses = [400]
    check(gateway, billing.now)
    assert "missed_event" in found(billing)
    assert "missed_state" not in found(billing), "the subscriptions were not listed"
    (state,) = billing.rows(CHECKS)
    assert state["error"].startswith("Subscriptions: ")
    assert state["read_until"] is None, "so the same is read again"
    check(gateway, billing.now + HOUR)
    assert "missed_state" in found(billing)
    assert billing.rows(CHECKS)[0]["error"] is None


def test_more_than_stripe_lists_is_said_and_never_taken_for_compared(
    billing: Billing, api: FakeApi, gateway: StripeGateway
) -> None:
    check(gateway, billing.now)
    billing.now += 40 * DAY
    check(gateway, billing.now)
    assert list(found(billing)) == ["events_gone"]
    (row,) = billing.rows(FINDINGS)
    with pytest.raises(Problem, match="30 days") as refusal:
        corrections.apply(gateway, row["id"], ChangeContext(billing.now, "olga", "Try."))
    assert refusal.value.status == 409
    check(gateway, billing.now + HOUR)
    assert list(found(billing)) == ["events_gone"], "until somebody has read it"
    corrections.dismiss(row["id"], ChangeContext(billing.now, "olga", "Compared by hand."))
    assert found(billing) == {}
    with pytest.raises(Problem) as refusal:
        corrections.dismiss(row["id"], ChangeContext(billing.now, "olga", "Once more."))
    assert refusal.value.status == 404


def test_a_stripe_that_does_not_answer_changes_nothing(billing: Billing, api: FakeApi, gateway: StripeGateway) -> None:
    subscription = api.stripe.checkout("ada", "pro_monthly")
    lose(api, billing, lambda _: False)
    api.stripe.cancel(subscription, at_once=True)
    billing.now = api.stripe.now = api.stripe.now + HOUR
    check(gateway, billing.now)
    row = next(row for row in billing.rows(FINDINGS) if row["kind"] == "missed_event")
    before = billing.final_state()
    api.statuses = [500]
    with pytest.raises(Problem) as refusal:
        corrections.apply(gateway, row["id"], ChangeContext(billing.now, "olga", "Lost."))
    assert refusal.value.status == 502
    assert billing.final_state() == before
