"""Times by the clock of whoever reads them; days of the books stay those of UTC."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards import filters
from dashboards.time_zone import local, offset, reader_zone, time_zone, use_time_zone

MINUS = "\N{MINUS SIGN}"
WINTER = datetime(2026, 11, 30, 23, 30, tzinfo=UTC)
SUMMER = datetime(2026, 7, 1, 22, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "instant", "text"),
    [
        ("UTC", WINTER, "30 Nov 2026, 23:30 UTC"),
        ("Europe/Madrid", WINTER, "1 Dec 2026, 00:30 UTC+1"),
        ("Europe/Madrid", SUMMER, "2 Jul 2026, 00:30 UTC+2"),
        ("America/St_Johns", WINTER, f"30 Nov 2026, 20:00 UTC{MINUS}3:30"),
        ("Asia/Kathmandu", WINTER, "1 Dec 2026, 05:15 UTC+5:45"),
    ],
)
def test_a_moment_is_the_readers_and_says_how_far_from_utc(zone: str, instant: datetime, text: str) -> None:
    with use_time_zone(zone):
        assert filters.moment(instant) == text
        assert filters.utc_moment(instant).endswith(f"{instant:%H:%M} UTC")


def test_an_instant_in_a_sentence_is_the_readers_and_a_date_is_nobodys() -> None:
    with use_time_zone("America/New_York"):
        assert filters.figures_in("Until 2026-12-01T00:00:00Z.") == f"Until 30 Nov 2026, 19:00 UTC{MINUS}5."
        assert filters.iso_day("2026-12-01") == "1 Dec 2026"
        assert filters.utc_day(datetime(2026, 12, 1, tzinfo=UTC)) == "1 Dec 2026"


def test_the_clock_of_a_chart_is_the_readers() -> None:
    minute = WINTER.timestamp() / 60
    with use_time_zone("Europe/Madrid"):
        assert (filters.minute(minute), filters.day_and_minute(minute)) == ("00:30", "1 Dec 00:30")
        assert filters.offset_at(minute) == "UTC+1"
        assert filters.clock(WINTER) == "00:30:00 UTC+1"


@pytest.mark.parametrize("cookie", [None, "", "Europe", "Nowhere/Else", "../../etc/passwd", "UTC\0", "x" * 9_000])
def test_a_cookie_that_names_no_zone_is_utc(cookie: str | None) -> None:
    assert reader_zone(cookie) == "UTC"


def test_a_zone_lasts_as_long_as_its_block() -> None:
    with use_time_zone("Europe/Madrid"):
        assert str(time_zone()) == "Europe/Madrid"
    assert str(time_zone()) == "UTC"


def test_the_last_instant_there_is_stays_in_utc() -> None:
    with use_time_zone("Europe/Madrid"):
        assert filters.moment(datetime.max.replace(tzinfo=UTC)) == "31 Dec 9999, 23:59 UTC"


@given(
    instant=st.datetimes(min_value=datetime(1980, 1, 1), max_value=datetime(2100, 1, 1)),  # noqa: DTZ001
    zone=st.timezone_keys(allow_prefix=False),
)
def test_what_is_read_is_the_same_instant(instant: datetime, zone: str) -> None:
    at = instant.replace(tzinfo=UTC)
    with use_time_zone(zone):
        sign, _, rest = offset(at).removeprefix("UTC").partition(":")
        hours = int(sign.replace(MINUS, "-") or 0)
        minutes = int(rest or 0) * (-1 if sign.startswith(MINUS) else 1)
        away = timedelta(hours=hours, minutes=minutes)
        assert abs(local(at).replace(tzinfo=UTC) - away - at) < timedelta(minutes=1)
