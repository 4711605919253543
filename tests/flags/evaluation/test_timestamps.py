from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flags.evaluation.rollout_flag import floor_millisecond
from flags.evaluation.timestamps import format_timestamp, later_prefixes, parse_timestamp
from tests.flags.examples import CUTOVER

instants = st.datetimes(timezones=st.just(UTC))
FINE = timedelta(microseconds=1)


def test_an_instant_is_written_in_utc_with_milliseconds_and_a_z() -> None:
    tokyo = timezone(timedelta(hours=9))
    assert format_timestamp(datetime(2026, 7, 1, 8, 59, 59, 999_999, tokyo)) == "2026-06-30T23:59:59.999Z"


@given(instants)
def test_what_is_written_is_read_back_to_the_millisecond(instant: datetime) -> None:
    assert parse_timestamp(format_timestamp(instant)) == floor_millisecond(instant)


@pytest.mark.parametrize(
    "text", ["2026-07-01T02:00:00+02:00", "2026-07-01", "2026-07-01T00:00:00", " 2026-07-01 00:00:00Z ", "20260701"]
)
def test_it_reads_what_services_send_and_takes_utc_where_no_zone_is_named(text: str) -> None:
    assert parse_timestamp(text) == CUTOVER


@pytest.mark.parametrize("text", ["", "soon", "1782864000", "01/07/2026", "2026-13-01", "0001-01-01T00:00:00+23:00"])
def test_it_reads_nothing_into_what_is_no_instant(text: str) -> None:
    assert parse_timestamp(text) is None


@given(instants, instants)
@example(CUTOVER, CUTOVER)
@example(CUTOVER, CUTOVER + FINE)
@example(CUTOVER + FINE, CUTOVER)
@example(CUTOVER, CUTOVER + 1000 * FINE)
@example(CUTOVER, CUTOVER - FINE)
def test_exactly_the_later_instants_begin_so(instant: datetime, other: datetime) -> None:
    begins = format_timestamp(other).startswith(tuple(later_prefixes(instant)))
    assert begins is (floor_millisecond(other) > floor_millisecond(instant))


@pytest.mark.parametrize(("text", "later"), [("2026-07-01T00:00:01Z", True), ("2026-07-01T00:00:00Z", False)])
def test_a_later_instant_begins_so_without_milliseconds_too(text: str, *, later: bool) -> None:
    assert text.startswith(tuple(later_prefixes(CUTOVER))) is later
