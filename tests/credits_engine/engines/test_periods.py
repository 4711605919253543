from calendar import monthrange
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credits_engine.engines.periods import Period, billing_period, calendar_month, fitted, months_after

MICROSECOND = timedelta(microseconds=1)
ZONES = sorted(available_timezones())
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
instants = st.integers(0, 120 * 365 * 86_400).map(lambda seconds: EARLIEST + timedelta(seconds=seconds))
late_anchors = st.builds(
    lambda year, month, day, seconds: (
        datetime(year, month, min(day, monthrange(year, month)[1]), tzinfo=UTC) + timedelta(seconds=seconds)
    ),
    st.integers(1995, 2100),
    st.sampled_from([1, 3, 5, 7, 8, 10, 12]),
    st.integers(28, 31),
    st.integers(0, 86_399),
)


def test_a_month_runs_from_its_first_instant_to_the_next_one() -> None:
    december = calendar_month(datetime(2011, 12, 9, 12, 50, tzinfo=UTC))
    assert december == Period(datetime(2011, 12, 1, tzinfo=UTC), datetime(2012, 1, 1, tzinfo=UTC))


@given(instants)
def test_every_instant_lies_in_its_month_and_boundaries_belong_to_the_later_one(now: datetime) -> None:
    month = calendar_month(now)
    assert now in month
    assert calendar_month(month.end - MICROSECOND) == month
    assert calendar_month(month.end) == calendar_month(month.end + MICROSECOND)
    assert calendar_month(month.end).start == month.end
    assert month.end not in month


@given(late_anchors | instants, instants)
def test_every_instant_lies_in_exactly_one_billing_period(anchor: datetime, now: datetime) -> None:
    period = billing_period(anchor, now)
    assert now in period
    assert billing_period(anchor, period.end - MICROSECOND) == period
    for moment in (period.end, period.end + MICROSECOND):
        assert billing_period(anchor, moment).start == period.end
    assert billing_period(anchor, period.start - MICROSECOND).end == period.start


@given(late_anchors, st.integers(-60, 120))
def test_a_late_anchor_is_clipped_to_short_months_and_returns_to_its_day(anchor: datetime, months: int) -> None:
    landed = months_after(anchor, months)
    assert landed.day == min(anchor.day, monthrange(landed.year, landed.month)[1])
    assert landed.timetz() == anchor.timetz()
    assert (landed.year * 12 + landed.month) - (anchor.year * 12 + anchor.month) == months


def test_a_year_of_an_anchor_on_the_31st() -> None:
    anchor = datetime(2027, 10, 31, 9, tzinfo=UTC)
    days = [(months_after(anchor, n).month, months_after(anchor, n).day) for n in range(8)]
    assert days == [(10, 31), (11, 30), (12, 31), (1, 31), (2, 29), (3, 31), (4, 30), (5, 31)]


def test_february_of_a_century_that_is_no_leap_year() -> None:
    anchor = datetime(2099, 12, 29, tzinfo=UTC)
    assert months_after(anchor, 2) == datetime(2100, 2, 28, tzinfo=UTC)
    assert billing_period(anchor, datetime(2100, 2, 28, tzinfo=UTC)).start == datetime(2100, 2, 28, tzinfo=UTC)


def test_periods_follow_an_independent_calendar_for_four_years() -> None:
    """An oracle that walks day by day instead of computing months."""
    for day in (28, 29, 30, 31):
        anchor = datetime(2027, 1, day, 6, 30, tzinfo=UTC)
        starts = []
        moment = anchor
        while moment < anchor + timedelta(days=4 * 365 + 1):
            last = monthrange(moment.year, moment.month)[1]
            if moment.day == min(day, last):
                starts.append(moment)
            moment += timedelta(days=1)
        for start, end in pairwise(starts):
            for moment in (start, start + MICROSECOND, end - MICROSECOND):
                assert billing_period(anchor, moment) == Period(start, end)


@given(late_anchors, instants, st.sampled_from(ZONES))
def test_the_zone_an_instant_is_written_in_changes_nothing(anchor: datetime, now: datetime, name: str) -> None:
    zone = ZoneInfo(name)
    assert billing_period(anchor.astimezone(zone), now.astimezone(zone)) == billing_period(anchor, now)
    assert calendar_month(now.astimezone(zone)) == calendar_month(now)


def test_a_clock_change_inside_the_period_does_not_move_its_bounds() -> None:
    madrid = ZoneInfo("Europe/Madrid")
    anchor = datetime(2027, 2, 28, 2, 30, tzinfo=madrid)
    repeated_hour = datetime(2027, 10, 31, 2, 30, fold=1, tzinfo=madrid)
    period = billing_period(anchor, repeated_hour)
    assert period == Period(datetime(2027, 10, 28, 1, 30, tzinfo=UTC), datetime(2027, 11, 28, 1, 30, tzinfo=UTC))


def test_the_result_is_always_in_utc() -> None:
    now = datetime(2027, 1, 1, 1, tzinfo=timezone(timedelta(hours=14)))
    assert calendar_month(now).start == datetime(2026, 12, 1, tzinfo=UTC)
    assert calendar_month(now).start.tzinfo is UTC


@given(instants, instants, instants, instants)
def test_a_fitted_period_never_reaches_into_its_neighbours(
    a: datetime, b: datetime, anchor: datetime, now: datetime
) -> None:
    before, after = min(a, b), max(a, b)
    if not before <= now < after:
        return
    cut = fitted(billing_period(anchor, now), not_before=before, not_after=after)
    assert now in cut
    assert before <= cut.start < cut.end <= after


def test_without_neighbours_a_period_stays_as_it_is() -> None:
    month = calendar_month(datetime(2027, 5, 5, tzinfo=UTC))
    assert fitted(month, not_before=None, not_after=None) == month


def test_an_instant_without_a_zone_is_refused() -> None:
    naive = datetime(2027, 1, 1)  # noqa: DTZ001 - what is refused
    with pytest.raises(ValueError, match="no time zone"):
        calendar_month(naive)
    with pytest.raises(ValueError, match="no time zone"):
        billing_period(naive, datetime(2027, 1, 1, tzinfo=UTC))
