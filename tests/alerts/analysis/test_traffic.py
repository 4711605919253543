import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.analysis.traffic import WEEKS, WEEKS_MIN, TrafficHour

COUNTS = st.integers(0, 10**6)
WEEKS_SEEN = st.lists(COUNTS, min_size=WEEKS_MIN, max_size=WEEKS)


@pytest.mark.parametrize(
    ("count", "weeks", "found"),
    [
        (900, (400, 380, 420, 410), "spike"),
        (0, (400, 380, 420, 410), "drop"),
        (180, (400, 380, 420, 410), "drop"),
        (800, (400, 380, 420, 410), ""),
        (200, (400, 380, 420, 410), ""),
        (900, (100, 150, 300, 600), ""),
        (9, (4, 3, 4, 4), ""),
        (0, (20, 22, 19, 21), ""),
        (0, (60, 62, 59, 61), "drop"),
        (40, (0, 0, 0), "spike"),
        (5, (0, 0, 0), ""),
        (10_000, (400, 380), ""),
        (0, (), ""),
    ],
)
def test_an_hour_is_held_against_the_same_hour_of_other_weeks(count: int, weeks: tuple[int, ...], found: str) -> None:
    hour = TrafficHour(count, weeks)
    assert (hour.is_spike, hour.is_drop) == (found == "spike", found == "drop")


@given(WEEKS_SEEN)
def test_what_has_been_before_is_never_unusual(weeks: list[int]) -> None:
    assert not any(TrafficHour(count, weeks).is_unusual for count in weeks)


@given(COUNTS, WEEKS_SEEN)
def test_more_is_no_less_of_a_spike_and_no_more_of_a_drop(count: int, weeks: list[int]) -> None:
    less, more = TrafficHour(count, weeks), TrafficHour(2 * count + 1, weeks)
    assert more.is_spike >= less.is_spike
    assert more.is_drop <= less.is_drop
    assert not (less.is_spike and less.is_drop)
