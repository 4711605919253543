"""What billing finds out by looking: a Stripe that can't be asked, and events that nobody applies."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
import stripe as stripe_library

from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import BUFFER, SeriesKey
from credits_engine.billing import schedule
from credits_engine.billing.schedule import BREAKER_OPEN, WAITING, WAITING_SECONDS
from credits_engine.billing.stripe_api.client import (
    FAILURES_MAX,
    PAUSE_SECONDS,
    STRIPE_GATEWAY,
    Breaker,
    StripeGateway,
    StripeUnavailableError,
    connect,
)
from tests.credits_engine.billing import fake_api
from tests.credits_engine.billing.conftest import Office
from tests.credits_engine.billing.fake_api import KEY, FakeApi
from tests.credits_engine.billing.virtual_stripe import START, VirtualStripe

GOOD, BAD, NONE = (1, 0), (0, 1), (0, 0)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeApi]:
    monkeypatch.setattr(stripe_library.HTTPClient, "INITIAL_DELAY", 0.0)
    monkeypatch.setattr(stripe_library.HTTPClient, "MAX_DELAY", 0.0)
    with fake_api.serving(VirtualStripe()) as found:
        yield found


def counted(office: Office, signal: str) -> tuple[int, int]:
    good, bad, _ = BUFFER.get(office.app).take()
    return good[SeriesKey(signal)], bad[SeriesKey(signal)]


@pytest.mark.database("sqlite")
def test_without_a_key_nobody_asks_stripe_and_nothing_is_known_of_it(office: Office) -> None:
    schedule.check_breaker(office.now)
    assert counted(office, BREAKER_OPEN) == NONE


@pytest.mark.database("sqlite")
def test_a_stripe_that_fails_opens_the_breaker_until_it_answers_again(api: FakeApi, office: Office) -> None:
    seconds = [0.0]
    truth = StripeGateway(connect(KEY, base_url=api.url).client, Breaker(lambda: seconds[0]))
    STRIPE_GATEWAY.set(office.app, truth)
    api.stripe.checkout("ada", "pro_monthly")

    def look() -> tuple[int, int]:
        schedule.check_breaker(office.now)
        return counted(office, BREAKER_OPEN)

    assert look() == GOOD
    api.statuses = [500] * 100
    for _ in range(FAILURES_MAX):
        assert look() == GOOD
        with pytest.raises(StripeUnavailableError):
            truth.subscription("sub_1")
    assert look() == BAD
    seconds[0], api.statuses = PAUSE_SECONDS, []
    assert look() == GOOD, "somebody may try again"
    assert truth.subscription("sub_1")
    assert look() == GOOD


def look(office: Office, seconds: float) -> tuple[int, int]:
    """What a look so long after the start counts."""
    counted(office, WAITING)
    schedule.check_backlog(START + timedelta(seconds=seconds), 1)
    return counted(office, WAITING)


def test_an_event_that_nobody_applies_is_seen_though_it_never_ends(office: Office) -> None:
    stripe = VirtualStripe()
    stripe.checkout("ada", "pro_monthly")
    assert look(office, 0) == GOOD, "nothing has come in"
    office.now = START
    office.deliver(*stripe.events)
    assert look(office, WAITING_SECONDS) == GOOD
    assert look(office, WAITING_SECONDS + 1) == BAD
    signals.set_bounds({WAITING: 3600.0})
    assert look(office, WAITING_SECONDS + 1) == GOOD
    office.work()
    assert look(office, 86_400) == GOOD


def test_an_event_that_is_set_aside_waits_for_a_person_and_not_for_us(office: Office) -> None:
    stripe = VirtualStripe()
    stripe.open("cus_stranger", "pro_monthly")
    office.tell(stripe.events, at=START)
    assert "parked" in office.states().values()
    assert look(office, 86_400) == GOOD
