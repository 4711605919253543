"""Calendars: open and closed by local time, also where the clocks change, and the first moment at which one opens."""

from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.core.calendars import Calendar, Freeze, Weekday, nonexistent, to_instant

MADRID = "Europe/Madrid"
WORKING_DAYS = tuple(Weekday)[:5]
OFFICE = Calendar(MADRID, WORKING_DAYS, time(9), time(17))
JANUARY = datetime.fromisoformat("2026-01-01")
MINUTE = timedelta(minutes=1)
CHANGES = (
    datetime(2026, 3, 28, 12, tzinfo=UTC),
    datetime(2026, 10, 24, 12, tzinfo=UTC),
    datetime(2011, 12, 29, 6, tzinfo=UTC),
)
"""Before the clocks of Madrid go forward and back, and before Samoa left out a day."""


def test_it_is_open_on_its_days_in_its_hours_and_says_why_not() -> None:
    friday_noon = datetime(2026, 12, 4, 11, tzinfo=UTC)
    assert OFFICE.objection(friday_noon) is None
    assert OFFICE.objection(friday_noon + timedelta(days=1)) == "Nothing moves on a Saturday."
    evening = OFFICE.objection(friday_noon + timedelta(hours=5))
    assert evening == "It is 17:00 in Europe/Madrid; moves are made from 09:00 to 17:00."
    assert OFFICE.opens_at(friday_noon + timedelta(hours=5)) == datetime(2026, 12, 7, 8, tzinfo=UTC)


def test_nine_oclock_stays_nine_oclock_when_the_clocks_change() -> None:
    saturday = datetime(2026, 3, 28, 12, tzinfo=UTC)
    assert OFFICE.opens_at(saturday) == datetime(2026, 3, 30, 7, tzinfo=UTC)
    assert OFFICE.opens_at(saturday - timedelta(days=7)) == datetime(2026, 3, 23, 8, tzinfo=UTC)


def test_a_freeze_closes_it_until_its_end_with_its_reason() -> None:
    freeze = Freeze(datetime.fromisoformat("2026-12-19T00:00"), datetime.fromisoformat("2027-01-07T00:00"), "Christmas")
    calendar = Calendar(MADRID, freezes=(freeze,))
    inside = datetime(2026, 12, 24, 12, tzinfo=UTC)
    assert "(Christmas)" in str(calendar.objection(inside))
    assert calendar.opens_at(inside) == datetime(2027, 1, 6, 23, tzinfo=UTC)
    assert calendar.objection(datetime(2027, 1, 6, 23, tzinfo=UTC)) is None


def test_one_that_is_frozen_for_years_does_not_say_when_it_opens() -> None:
    calendar = Calendar(
        freezes=(Freeze(datetime.fromisoformat("2026-01-01T00:00"), datetime.fromisoformat("2036-01-01T00:00")),)
    )
    assert calendar.opens_at(datetime(2026, 6, 1, tzinfo=UTC)) is None


@given(
    start=st.sampled_from(CHANGES),
    minutes=st.integers(0, 3000),
    zone=st.sampled_from((MADRID, "UTC", "America/New_York", "Pacific/Apia", "Australia/Lord_Howe")),
    opens=st.integers(0, 1438),
    length=st.integers(1, 1439),
    days=st.lists(st.sampled_from(list(Weekday)), min_size=1, unique=True),
    frozen=st.integers(0, 600),
)
def test_it_opens_at_the_first_minute_that_is_open(  # noqa: PLR0917 - each is drawn
    start: datetime, minutes: int, zone: str, opens: int, length: int, days: list[Weekday], frozen: int
) -> None:
    begun = start + MINUTE * minutes
    closes = opens + length
    local = begun.replace(tzinfo=None)
    calendar = Calendar(
        zone,
        tuple(days),
        time(opens // 60, opens % 60),
        time(closes // 60, closes % 60) if closes < 1440 else None,
        (Freeze(local, local + MINUTE * frozen),) if frozen else (),
    )
    found = calendar.opens_at(begun)
    assert found is not None
    assert calendar.objection(found) is None
    looked = min(found, begun + timedelta(days=3))
    instant = begun
    while instant < looked:
        assert calendar.objection(instant) is not None, instant
        instant += MINUTE * 7 if looked - instant > timedelta(hours=3) else MINUTE


def test_a_time_that_the_clocks_skip_is_known_and_one_that_comes_twice_is_the_first() -> None:
    assert nonexistent(datetime.fromisoformat("2026-03-29T02:30"), MADRID)
    assert not nonexistent(datetime.fromisoformat("2026-03-29T03:00"), MADRID)
    assert to_instant(datetime.fromisoformat("2026-10-25T02:30"), MADRID) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("calendar", "mistake"),
    [
        (Calendar(days=()), "at least one day"),
        (Calendar(opens=time(9), closes=time(9)), "not after 09:00"),
        (Calendar(opens=time(9, 0, 1)), "whole minutes"),
        (
            Calendar(
                freezes=(
                    Freeze(datetime.fromisoformat("2026-01-02T00:00"), datetime.fromisoformat("2026-01-01T00:00")),
                )
            ),
            "not after 2026-01-02",
        ),
    ],
)
def test_a_calendar_that_cannot_be_kept_is_refused(calendar: Calendar, mistake: str) -> None:
    assert any(mistake in sentence for sentence in calendar.errors())
