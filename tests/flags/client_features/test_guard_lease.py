"""The guard's lease as a process counts it down, whatever anybody does to the clock."""

from datetime import UTC, datetime, timedelta

import pytest

from flags.client_features.guard_lease import NEVER_BEATEN, GuardLease

NOW = datetime(2026, 8, 1, 12, tzinfo=UTC)
SECONDS = 30.0


class Clock:
    """A clock that nobody can set, but we."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lease(clock: Clock) -> GuardLease:
    """A lease that the guard renewed just now, for thirty seconds."""
    lease = GuardLease(SECONDS, clock=clock)
    lease.observe(NOW + timedelta(seconds=30), NOW)
    return lease


def test_before_the_first_heartbeat_nobody_is_exposed(clock: Clock) -> None:
    lease = GuardLease(SECONDS, clock=clock)
    lease.observe(None, NOW)
    assert lease.expired_at == NEVER_BEATEN


def test_it_is_held_until_its_end_and_not_at_its_end(lease: GuardLease, clock: Clock) -> None:
    clock.seconds += 29.9
    assert lease.expired_at is None
    clock.seconds += 0.1
    assert lease.expired_at == NOW + timedelta(seconds=30)


def test_a_heartbeat_holds_it_again(lease: GuardLease, clock: Clock) -> None:
    clock.seconds += 60
    lease.observe(NOW + timedelta(seconds=90), NOW + timedelta(seconds=60))
    assert lease.expired_at is None


def test_a_clock_that_is_set_back_does_not_make_it_last_longer(lease: GuardLease, clock: Clock) -> None:
    for second in range(40):
        clock.seconds += 1
        lease.observe(NOW + timedelta(seconds=30), NOW - timedelta(hours=1) + timedelta(seconds=second))
    assert lease.expired_at is not None


def test_however_far_away_its_end_seems_it_lasts_no_longer_than_a_lease(clock: Clock) -> None:
    lease = GuardLease(SECONDS, clock=clock)
    lease.observe(NOW + timedelta(hours=1), NOW)
    clock.seconds += SECONDS
    assert lease.expired_at is not None


def test_a_lease_that_had_ended_when_it_was_first_seen_is_not_held(clock: Clock) -> None:
    lease = GuardLease(SECONDS, clock=clock)
    lease.observe(NOW, NOW)
    assert lease.expired_at == NOW


def test_it_tells_how_old_the_last_heartbeat_is(lease: GuardLease, clock: Clock) -> None:
    assert lease.age_seconds == 0
    clock.seconds += 12
    assert lease.age_seconds == 12
    lease.observe(NOW + timedelta(seconds=40), NOW + timedelta(seconds=12))
    assert lease.age_seconds == 2, "it was two seconds old when it was seen"
    assert GuardLease(SECONDS, clock=clock).age_seconds is None
