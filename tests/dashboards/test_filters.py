"""Figures become words that can be read aloud, and small numbers do not vanish."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards import filters

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


def read(text: str) -> str:
    """Return `text` with ordinary blanks."""
    return text.replace(filters.NARROW, " ")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (19_200, "5 h 20 min"),
        (151_200, "1 d 18 h"),
    ],
)
def test_a_span_takes_two_units_at_most(seconds: int, words: str) -> None:
    assert read(filters.span(seconds)) == words


def test_a_span_below_zero_is_over() -> None:
    assert read(filters.span(timedelta(seconds=-5))) == "0 s"


def test_what_has_lasted_seconds_only_does_not_count_them() -> None:
    assert filters.duration(timedelta(seconds=59)) == "less than a minute"
    assert read(filters.duration(timedelta(seconds=61))) == "1 min"


@pytest.mark.parametrize(
    ("ratio", "words"),
    [
        (0.0, "0 %"),
        (0.000001, "< 0.001 %"),
        (0.005, "0.5 %"),
        (0.00089, "0.089 %"),
        (0.0682, "6.8 %"),
        (0.1234, "12.3 %"),
        (1.0, "100 %"),
    ],
)
def test_a_share_keeps_two_or_three_figures(ratio: float, words: str) -> None:
    assert read(filters.share(ratio)) == words


@given(st.floats(min_value=1e-12, max_value=1, allow_subnormal=False))
def test_a_share_above_zero_never_reads_as_zero(ratio: float) -> None:
    assert read(filters.share(ratio)) != "0 %"


def test_thousands_are_set_apart() -> None:
    assert read(filters.count(1_234_567)) == "1 234 567"


@pytest.mark.parametrize(("number", "words"), [(0, "0 entries"), (1, "1 entry"), (1200, "1 200 entries")])
def test_a_noun_follows_its_number(number: int, words: str) -> None:
    assert read(filters.pluralize(number, "entry")) == words


@pytest.mark.parametrize(
    ("difference", "words"),
    [(timedelta(seconds=40), "just now"), (timedelta(minutes=12), "12 min ago"), (timedelta(hours=-5), "in 5 h")],
)
def test_an_instant_is_told_from_now(difference: timedelta, words: str) -> None:
    assert read(filters.ago(NOW - difference, NOW)) == words


def test_instants_are_written_in_utc() -> None:
    assert filters.moment(NOW) == "2 Mar 2026, 09:30 UTC"
    assert filters.clock(NOW) == "09:30:00 UTC"
    assert filters.minute(NOW.timestamp() / 60) == "09:30"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("required_seconds", 3600, "1 h"),
        ("bad_rate", 0.01, "1 %"),
        ("served", 1200, "1 200"),
        ("log10", 2.714, "2.71"),
        ("shown_safe", False, "no"),
        ("environments", ["development", "staging"], "development, staging"),
        ("good_outcomes_needed", None, "none"),
        (
            "credit_variance",
            {"shown_safe": True, "chance_above_threshold": 0.125},
            "shown safe yes, chance above threshold 12.5 %",
        ),
    ],
)
def test_a_figure_is_read_by_its_unit(name: str, value: object, words: str) -> None:
    assert read(filters.figure(name, value)) == words


def test_names_of_alerts_become_words_inside_a_sentence() -> None:
    assert filters.sentence_case("api_error_rate: over its threshold.") == "API error rate: over its threshold."


@pytest.mark.parametrize(("text", "words"), [("Held", "Held."), ("Why?", "Why?"), ("", ""), (" Done. ", "Done.")])
def test_a_sentence_gets_the_stop_it_lacks(text: str, words: str) -> None:
    assert filters.sentence(text) == words


def test_an_opening_is_the_first_sentence_and_no_figure_ends_it() -> None:
    assert filters.first_sentence("Over 0.5% now. Bad were 3 of 9.") == "Over 0.5% now."
    assert filters.first_sentence("It soaks") == "It soaks."


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (
            "0 left until the period ends at 2026-12-01T00:00:00Z.",
            "0 left until the period ends at 1 Dec 2026, 00:00 UTC.",
        ),
        ("2026-02-28T23:59:59+00:00", "28 Feb 2026, 23:59 UTC"),
        ("2026-02-28T23:59:59.762994+00:00", "28 Feb 2026, 23:59 UTC"),
        ("Examined at 2026-11-29 20:09 UTC.", "Examined at 29 Nov 2026, 20:09 UTC."),
        ("2026-11-31 20:09 UTC", "2026-11-31 20:09 UTC"),
        ("2026-13-01T00:00:00Z and 2026-12-01", "2026-13-01T00:00:00Z and 2026-12-01"),
        ("2026-02-31T00:00:00Z", "2026-02-31T00:00:00Z"),
    ],
)
def test_instants_in_a_sentence_are_written_as_people_read_them(written: str, read: str) -> None:
    assert filters.moments(written) == read


@pytest.mark.parametrize(
    ("written", "set_as"),
    [
        ("15 of 2,935 (0.511%) in the last 5m", "15 of 2 935 (0.511 %) in the last 5 min"),
        ("1,234,567 in the last 2h", "1 234 567 in the last 2 h"),
        ("5m users, 1,23 and a,b", "5m users, 1,23 and a,b"),
        ("A drill of the guard passed on 2026-11-30.", "A drill of the guard passed on 30 Nov 2026."),
        ("backup-2026-11-30 of 2026-11-31", "backup-2026-11-30 of 2026-11-31"),
        ("100 % %(user)s %s", "100 % %(user)s %s"),
    ],
)
def test_figures_in_a_sentence_are_written_as_on_every_page(written: str, set_as: str) -> None:
    assert read(filters.figures_in(written)) == set_as


@pytest.mark.parametrize(
    ("written", "words"),
    [("P7D", "7 d"), ("P1DT18H", "1 d 18 h"), ("PT15S", "15 s"), ("P", "P"), ("PT", "PT"), ("P1Y", "P1Y"), ("", "")],
)
def test_a_length_of_time_in_iso_8601_is_read(written: str, words: str) -> None:
    assert read(filters.iso_duration(written)) == words


@pytest.mark.parametrize(("written", "words"), [("2026-11-29", "29 Nov 2026"), ("2026-11-31", "2026-11-31"), ("", "")])
def test_a_day_in_iso_8601_is_read(written: str, words: str) -> None:
    assert filters.iso_day(written) == words
