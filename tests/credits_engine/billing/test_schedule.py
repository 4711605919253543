"""Billing's jobs: periods roll over, entitlements expire, and what is found by looking reaches the guard."""

import json
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
import stripe as stripe_library
from sqlalchemy import update

from control_plane.platform.db.database import transaction
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import BUFFER, SeriesKey
from control_plane.platform.runtime import jobs
from credits_engine.billing import schedule
from credits_engine.billing.entitlements import period_sweep
from credits_engine.billing.entitlements.plan_of_prices import PlanWithoutPriceError, check_prices
from credits_engine.billing.inbox import webhook
from credits_engine.billing.inbox.webhook import RUSH_SECONDS, WAY_SECONDS, InboxWriter
from credits_engine.billing.inbox.worker import Worker
from credits_engine.billing.schedule import BREAKER_OPEN, WAITING, WAITING_SECONDS
from credits_engine.billing.store import inbox
from credits_engine.billing.stripe_api.client import (
    FAILURES_MAX,
    PAUSE_SECONDS,
    STRIPE_GATEWAY,
    Breaker,
    StripeGateway,
    StripeUnavailableError,
    connect,
)
from credits_engine.engines.amounts import Limits
from credits_engine.engines.credit_plan import CreditPlan
from credits_engine.engines.plans import CATALOGUE, Catalogue
from credits_engine.store.tables import USERS
from tests.credits_engine.billing import fake_api
from tests.credits_engine.billing.conftest import Billing
from tests.credits_engine.billing.fake_api import KEY, FakeApi
from tests.credits_engine.billing.virtual_stripe import START, VirtualStripe

LIMITS = Limits(1, 1)


def test_every_process_works_and_the_leader_sweeps(billing: Billing) -> None:
    work = jobs.jobs_of(billing.app)
    assert {"billing-work", "billing-sweep", "billing-tidy"} <= {
        each.name for each in [*work._schedule.work, *work._rare]
    }


def test_work_on_the_schedule_ends_what_was_delivered(billing: Billing) -> None:
    stripe = VirtualStripe()
    stripe.checkout("ada", "pro_monthly")
    billing.deliver(*stripe.events)
    worker = Worker("w", lambda: billing.now)
    schedule.work(worker, billing.now - timedelta(days=1))
    assert set(billing.states().values()) == {"new"}
    schedule.work(worker, billing.now)
    assert set(billing.states().values()) <= {"applied", "superseded"}


def test_sweeping_and_tidying_leave_nothing_due(billing: Billing) -> None:
    stripe = VirtualStripe()
    stripe.cancel(stripe.checkout("ada", "pro_monthly"))
    billing.process(stripe.events, at=START)
    later = START + timedelta(days=40)
    roll = period_sweep.PeriodSweep()
    schedule.sweep_periods(roll, later)
    schedule.tidy(later)
    assert billing.user("ada") == ("free", None)
    assert billing.account("ada")["due_at"] > later


def test_thin_events_go_on_once_we_may_ask(billing: Billing) -> None:
    thin = {
        "id": "evt_thin",
        "object": "v2.core.event",
        "type": "v1.customer.subscription.updated",
        "created": "2026-11-10T08:00:00Z",
        "related_object": {"id": "sub_1", "type": "subscription"},
    }
    billing.process([thin], at=START)
    schedule.tidy(START)
    assert billing.states() == {"evt_thin": "parked"}
    STRIPE_GATEWAY.set(billing.app, connect("sk_test", base_url="http://127.0.0.1:9"))
    schedule.tidy(START)
    assert billing.states() == {"evt_thin": "new"}


def test_a_plan_that_nobody_can_buy_stops_the_start() -> None:
    check_prices(CATALOGUE)
    unsold = Catalogue((CreditPlan("free", "Free", LIMITS, LIMITS), CreditPlan("pro", "Pro", LIMITS, LIMITS)))
    with pytest.raises(PlanWithoutPriceError, match=r"Plan 'free' has no price.*Plan 'pro' has no price"):
        check_prices(unsold)


def test_a_user_on_an_unknown_plan_does_not_stop_the_roll(billing: Billing) -> None:
    stripe = VirtualStripe()
    for name in ("ada", "bob", "cleo"):
        stripe.checkout(name, "pro_monthly")
    billing.process(stripe.events, at=START)
    with transaction() as session:
        session.execute(update(USERS).where(USERS.c.user_id == "bob").values(plan="galaxy"))
    assert period_sweep.PeriodSweep().tick(START + timedelta(days=40)) == 2


def test_the_roll_goes_round_the_directory_in_pages(billing: Billing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(period_sweep, "PAGE", 2)
    monkeypatch.setattr(period_sweep, "PAGES", 1)
    stripe = VirtualStripe()
    for number in range(5):
        stripe.checkout(f"user{number}", "pro_monthly")
    billing.process(stripe.events, at=START)
    roll, later = period_sweep.PeriodSweep(), START + timedelta(days=40)
    assert [(roll.tick(later), roll.after) for _ in range(4)] == [(2, "user1"), (2, "user3"), (1, ""), (0, "user1")]


class PausedInbox:
    """An inbox whose clock only a pause moves, and many deliveries for it."""

    def __init__(self, *, lasts: bool = False) -> None:
        self.seconds = 0.0
        self.is_seen = threading.Event()
        self.lasts = lasts
        self.writing: list[Callable[[], None]] = []
        self.deliveries = InboxWriter(self.write, clock=self.clock, pause=self.pause)

    def clock(self) -> float:
        self.is_seen.set()
        return self.seconds

    def pause(self, seconds: float) -> None:
        self.seconds += seconds
        if self.lasts:
            self.crowd()

    def write(self, _: object) -> None:
        if self.writing:
            self.writing.pop()()

    def store(self, number: int) -> None:
        self.deliveries.store(webhook.parse(json.dumps({"id": f"evt_{number}", "type": "x"}).encode(), START))

    def crowd(self) -> None:
        """Let two more arrive while the first one's write is under way."""
        others = [threading.Thread(target=self.store, args=(number,)) for number in (2, 3)]

        def gather() -> None:
            for each in others:
                each.start()
            self.is_seen.wait()

        self.is_seen.clear()
        self.writing.append(gather)
        self.store(1)
        for each in others:
            each.join()


def test_work_waits_for_no_delivery_that_comes_alone() -> None:
    rush = PausedInbox()
    rush.store(1)
    rush.deliveries.give_way()
    assert rush.seconds == 0


def test_work_gives_way_to_a_crowd_of_deliveries_until_it_has_passed() -> None:
    rush = PausedInbox()
    rush.crowd()
    rush.deliveries.give_way()
    assert rush.seconds == pytest.approx(RUSH_SECONDS)


def test_work_gives_way_to_a_lasting_crowd_for_a_moment_only() -> None:
    rush = PausedInbox(lasts=True)
    rush.crowd()
    rush.deliveries.give_way()
    assert rush.seconds == pytest.approx(WAY_SECONDS)


@pytest.mark.database("sqlite")
def test_the_inbox_is_claimed_through_its_small_index(billing: Billing) -> None:
    with transaction() as session:
        query = str(inbox.PEEK.compile(session.get_bind()))
        plan = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", ("x", 1, 0)).all()
    assert "ix_billing_event_due" in str(plan)


GOOD, BAD, NONE = (1, 0), (0, 1), (0, 0)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeApi]:
    monkeypatch.setattr(stripe_library.HTTPClient, "INITIAL_DELAY", 0.0)
    monkeypatch.setattr(stripe_library.HTTPClient, "MAX_DELAY", 0.0)
    with fake_api.serving(VirtualStripe()) as found:
        yield found


def counted(billing: Billing, signal: str) -> tuple[int, int]:
    good, bad, _ = BUFFER.get(billing.app).take()
    return good[SeriesKey(signal)], bad[SeriesKey(signal)]


@pytest.mark.database("sqlite")
def test_without_a_key_nobody_asks_stripe_and_nothing_is_known_of_it(billing: Billing) -> None:
    schedule.check_breaker(billing.now)
    assert counted(billing, BREAKER_OPEN) == NONE


@pytest.mark.database("sqlite")
def test_a_stripe_that_fails_opens_the_breaker_until_it_answers_again(api: FakeApi, billing: Billing) -> None:
    seconds = [0.0]
    truth = StripeGateway(connect(KEY, base_url=api.url).client, Breaker(lambda: seconds[0]))
    STRIPE_GATEWAY.set(billing.app, truth)
    api.stripe.checkout("ada", "pro_monthly")

    def check() -> tuple[int, int]:
        schedule.check_breaker(billing.now)
        return counted(billing, BREAKER_OPEN)

    assert check() == GOOD
    api.statuses = [500] * 100
    for _ in range(FAILURES_MAX):
        assert check() == GOOD
        with pytest.raises(StripeUnavailableError):
            truth.subscription("sub_1")
    assert check() == BAD
    seconds[0], api.statuses = PAUSE_SECONDS, []
    assert check() == GOOD, "somebody may try again"
    assert truth.subscription("sub_1")
    assert check() == GOOD


def check(billing: Billing, seconds: float) -> tuple[int, int]:
    """Return what a check so long after the start counts."""
    counted(billing, WAITING)
    schedule.check_backlog(START + timedelta(seconds=seconds))
    return counted(billing, WAITING)


def test_an_event_that_nobody_applies_is_seen_though_it_never_ends(billing: Billing) -> None:
    stripe = VirtualStripe()
    stripe.checkout("ada", "pro_monthly")
    assert check(billing, 0) == GOOD, "nothing has come in"
    billing.now = START
    billing.deliver(*stripe.events)
    assert check(billing, WAITING_SECONDS) == GOOD
    assert check(billing, WAITING_SECONDS + 1) == BAD
    signals.set_bounds({WAITING: 3600.0})
    assert check(billing, WAITING_SECONDS + 1) == GOOD
    billing.work()
    assert check(billing, 86_400) == GOOD


def test_an_event_that_is_set_aside_waits_for_a_person_and_not_for_us(billing: Billing) -> None:
    stripe = VirtualStripe()
    stripe.open("cus_stranger", "pro_monthly")
    billing.process(stripe.events, at=START)
    assert "parked" in billing.states().values()
    assert check(billing, 86_400) == GOOD
