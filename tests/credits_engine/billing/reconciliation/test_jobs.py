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
from tests.credits_engine.billing.conftest import Office
from tests.credits_engine.billing.fake_api import KEY, FakeApi
from tests.credits_engine.billing.stripe_objects import GENERATIONS, Json
from tests.credits_engine.billing.virtual_shop import give_back, sell
from tests.credits_engine.billing.virtual_stripe import VirtualStripe

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


@pytest.fixture(params=[GENERATIONS[0], GENERATIONS[-1]])
def api(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeApi]:
    monkeypatch.setattr(client, "RETRIES", 0)
    with fake_api.serving(VirtualStripe(request.param)) as found:
        yield found


@pytest.fixture
def truth(api: FakeApi) -> StripeGateway:
    return connect(KEY, base_url=api.url)


def lose(api: FakeApi, office: Office, is_lost: Callable[[Json], bool]) -> None:
    """Deliver everything but what is lost, and let an hour pass."""
    office.tell([event for event in api.stripe.events if not is_lost(event)], at=api.stripe.now)
    office.now = api.stripe.now = api.stripe.now + HOUR


def found(office: Office) -> dict[str, list[str]]:
    """Return the open findings: the objects of each kind."""
    kinds: dict[str, list[str]] = {}
    for row in office.rows(FINDINGS):
        if row["closed_at"] is None:
            kinds.setdefault(row["kind"], []).append(row["object_id"])
    return kinds


def correct(office: Office, truth: StripeGateway, kind: str) -> None:
    for row in office.rows(FINDINGS, kind=kind):
        if row["closed_at"] is None:
            corrections.apply(truth, row["id"], ChangeContext(office.now, "olga", "It was lost."))
    office.work()


def test_it_runs_daily_and_after_an_outage_and_soon_after_stripe_failed(
    office: Office, api: FakeApi, truth: StripeGateway
) -> None:
    def looks(minutes: float, *, expected: bool) -> None:
        office.now += timedelta(minutes=minutes)
        assert check_when_due(truth, office.now) is expected

    looks(0, expected=True)
    looks(1, expected=False)
    looks(11, expected=True)
    for _ in range(160):
        looks(9, expected=(office.now - office.rows(CHECKS)[0]["tried_at"]) + 9 * MINUTE >= DAY)
    api.statuses = [500] * 9
    looks(11, expected=True)
    assert "APIError" in office.rows(CHECKS)[0]["error"]
    api.statuses = []
    truth.breaker.succeeded()
    looks(9, expected=False)
    looks(9, expected=True)
    assert office.rows(CHECKS)[0]["error"] is None


def test_without_a_key_nobody_is_asked(office: Office) -> None:
    assert check_when_due(None, office.now) is False
    schedule.check(office.now)
    assert office.rows(CHECKS) == []


def test_where_every_event_came_nothing_is_found(office: Office, api: FakeApi, truth: StripeGateway) -> None:
    subscription = api.stripe.checkout("ada", "pro_monthly")
    api.stripe.refund(subscription, 0.5)
    sale = sell(api.stripe, "ada", "pack_roast_100", customer="cus_ada")
    give_back(api.stripe, sale)
    lose(api, office, lambda _: False)
    check(truth, office.now)
    assert found(office) == {}
    assert office.rows(CHECKS)[0]["compared"] == 1


def test_a_gap_in_stripes_events_is_seen_told_and_filled_by_order_alone(
    office: Office, api: FakeApi, truth: StripeGateway
) -> None:
    subscription = api.stripe.checkout("ada", "pro_monthly")
    lose(api, office, lambda _: False)
    api.stripe.cancel(subscription, at_once=True)
    api.stripe.refund(subscription)
    lost = [event["id"] for event in api.stripe.events[-2:]]
    lose(api, office, lambda event: event["id"] in lost)
    BUFFER.get(office.app).take()
    check(truth, office.now)
    assert sorted(found(office)["missed_event"]) == sorted(lost)
    _, bad, accounts = BUFFER.get(office.app).take()
    named = [each.account for each in accounts if each.signal == metrics.EVENT_MISSED]
    assert len(named) + bad[SeriesKey(metrics.EVENT_MISSED)] == 2
    assert office.user("ada")[0] == "pro", "nothing is applied by itself"
    correct(office, truth, "missed_event")
    assert office.user("ada")[0] == "free"
    office.now += HOUR
    check(truth, office.now)
    assert found(office) == {}


def test_what_is_still_missing_a_day_later_is_still_found(office: Office, api: FakeApi, truth: StripeGateway) -> None:
    api.stripe.checkout("ada", "pro_monthly")
    lost = next(event["id"] for event in api.stripe.events if event["type"] == "invoice.paid")
    lose(api, office, lambda event: event["id"] == lost or event["type"] == "invoice.payment_succeeded")
    for _ in range(3):
        check(truth, office.now)
        assert lost in found(office)["missed_event"]
        office.now += DAY
    office.tell(api.stripe.events, at=office.now)
    check(truth, office.now)
    assert found(office) == {}, "it came after all"


def test_payments_refunds_and_packs_are_compared_beside_the_events(
    office: Office, api: FakeApi, truth: StripeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscription = api.stripe.checkout("ada", "pro_monthly")
    sale = sell(api.stripe, "ada", "pack_roast_100", customer="cus_ada")
    lose(api, office, lambda event: "invoice" in event["type"] or event["data"]["object"]["id"] == sale["id"])
    api.stripe.refund(subscription)
    monkeypatch.setattr(api, "_of", lambda kind, real=api._of: [] if kind == "events" else real(kind))
    office.now = api.stripe.now = api.stripe.now + HOUR
    check(truth, office.now)
    kinds = found(office)
    assert kinds["missed_pack"] == [sale["id"]]
    assert subscription.last_invoice
    assert kinds["missed_invoice"] == [subscription.last_invoice["id"]]
    assert len(kinds["missed_refund"]) == 1
    for kind in ("missed_pack", "missed_invoice", "missed_refund"):
        correct(office, truth, kind)
    assert [row["remaining"] for row in office.rows(PACKS)] == [100]
    office.now += HOUR
    check(truth, office.now)
    assert found(office) == {}


def test_a_state_that_differs_is_named_and_corrected(office: Office, api: FakeApi, truth: StripeGateway) -> None:
    subscription = api.stripe.checkout("ada", "starter_monthly")
    lose(api, office, lambda _: False)
    api.stripe._change(subscription, price="plus_monthly")
    del api.stripe.events[-1]
    office.now = api.stripe.now = api.stripe.now + HOUR
    check(truth, office.now)
    (row,) = office.rows(FINDINGS)
    assert "prices plus_monthly instead of starter_monthly" in row["sentence"]
    assert (row["kind"], row["user_id"]) == ("missed_state", "ada")
    correct(office, truth, "missed_state")
    assert office.user("ada")[0] == "plus"
    with read_only() as session:
        entries = [entry for entry in audit.every(session) if entry.action == "billing.finding"]
    assert [entry.actor for entry in entries] == ["olga"]


def test_what_stripe_does_not_answer_about_one_part_keeps_no_other_from_it(
    office: Office, api: FakeApi, truth: StripeGateway
) -> None:
    subscription = api.stripe.checkout("ada", "pro_monthly")
    lose(api, office, lambda _: False)
    api.stripe.cancel(subscription, at_once=True)
    office.now = api.stripe.now = api.stripe.now + HOUR
    api.statuses = [400]
    check(truth, office.now)
    assert "missed_event" in found(office)
    assert "missed_state" not in found(office), "the subscriptions were not listed"
    (state,) = office.rows(CHECKS)
    assert state["error"].startswith("Subscriptions: ")
    assert state["read_until"] is None, "so the same is read again"
    check(truth, office.now + HOUR)
    assert "missed_state" in found(office)
    assert office.rows(CHECKS)[0]["error"] is None


def test_more_than_stripe_lists_is_said_and_never_taken_for_compared(
    office: Office, api: FakeApi, truth: StripeGateway
) -> None:
    check(truth, office.now)
    office.now += 40 * DAY
    check(truth, office.now)
    assert list(found(office)) == ["events_gone"]
    (row,) = office.rows(FINDINGS)
    with pytest.raises(Problem, match="30 days") as refusal:
        corrections.apply(truth, row["id"], ChangeContext(office.now, "olga", "Try."))
    assert refusal.value.status == 409
    check(truth, office.now + HOUR)
    assert list(found(office)) == ["events_gone"], "until somebody has read it"
    corrections.dismiss(row["id"], ChangeContext(office.now, "olga", "Compared by hand."))
    assert found(office) == {}
    with pytest.raises(Problem) as refusal:
        corrections.dismiss(row["id"], ChangeContext(office.now, "olga", "Once more."))
    assert refusal.value.status == 404


def test_a_stripe_that_does_not_answer_changes_nothing(office: Office, api: FakeApi, truth: StripeGateway) -> None:
    subscription = api.stripe.checkout("ada", "pro_monthly")
    lose(api, office, lambda _: False)
    api.stripe.cancel(subscription, at_once=True)
    office.now = api.stripe.now = api.stripe.now + HOUR
    check(truth, office.now)
    row = next(row for row in office.rows(FINDINGS) if row["kind"] == "missed_event")
    before = office.final_state()
    api.statuses = [500]
    with pytest.raises(Problem) as refusal:
        corrections.apply(truth, row["id"], ChangeContext(office.now, "olga", "Lost."))
    assert refusal.value.status == 502
    assert office.final_state() == before
