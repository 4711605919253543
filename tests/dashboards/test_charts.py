"""Geometry stays inside its frame, shows its limit, loses no peak and draws no line through a gap."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.charts import CARD, LEFT, POINTS_MAXIMUM, TOP, Sample, evidence_bar, line_chart, nice_ticks

values = st.one_of(st.none(), st.floats(min_value=0, max_value=1))


@given(st.lists(values, max_size=400), st.floats(min_value=0, max_value=1))
def test_everything_is_drawn_inside_the_frame(found: list[float | None], limit: float) -> None:
    samples = [Sample(float(at), value) for at, value in enumerate(found)]
    chart = line_chart([("v2", samples)], start=0, end=max(1, len(samples) - 1), limit=limit)
    heights = [
        *(dot.y for dot in chart.lines[0].dots),
        *(tick.position for tick in chart.y_ticks),
        chart.limit_y or TOP,
    ]
    assert all(TOP <= y <= CARD.bottom for y in heights)
    assert all(LEFT <= dot.x <= CARD.right for dot in chart.lines[0].dots)


@given(st.lists(st.floats(min_value=0, max_value=1), min_size=1, max_size=1000))
def test_thinning_keeps_the_highest_peak(found: list[float]) -> None:
    samples = [Sample(float(at), value) for at, value in enumerate(found)]
    (line,) = line_chart([("v2", samples)], start=0, end=len(found)).lines
    assert len(line.dots) <= POINTS_MAXIMUM
    assert max(dot.value for dot in line.dots) == max(found)


def test_a_gap_interrupts_the_line() -> None:
    samples = [Sample(0, 0.1), Sample(1, 0.2), Sample(2, None), Sample(3, 0.1)]
    (line,) = line_chart([("v2", samples)], start=0, end=3).lines
    assert re.sub("[^ML]", "", line.path) == "MLM"


def test_samples_above_the_limit_are_breaches_and_the_limit_itself_is_not() -> None:
    samples = [Sample(0, 0.01), Sample(1, 0.011), Sample(2, 0.009)]
    (line,) = line_chart([("v2", samples)], start=0, end=2, limit=0.01).lines
    assert [dot.at for dot in line.breaches] == [1]


@pytest.mark.parametrize(
    ("found", "events", "at_start"),
    [
        ([0.0] * 60, [], False),
        ([0.0] * 50 + [0.05] * 10, [], True),
        ([0.05] * 10 + [0.0] * 50, [], False),
        ([0.0] * 60, [(58, "Rolled back")], True),
        ([0.0] * 60, [(2, "Planned"), (58, "Rolled back")], False),
    ],
)
def test_the_words_on_the_limit_stand_where_less_crosses_them(
    found: list[float], events: list[tuple[float, str]], at_start: bool
) -> None:
    samples = [Sample(float(at), value) for at, value in enumerate(found)]
    assert line_chart([("v2", samples)], start=0, end=59, limit=0.01, marks=events).label_at_start is at_start


def test_a_chart_of_nothing_is_empty_and_still_has_its_scale() -> None:
    chart = line_chart([("v2", [])], start=0, end=60, limit=0.01)
    assert chart.empty
    assert chart.y_ticks[-1].value > 0.01


@pytest.mark.parametrize(("rate", "most"), [(1.0, 1.0), (0.9, 1.0), (0.5, 0.6), (0.02, 0.03)])
def test_a_scale_of_shares_ends_at_all_of_them(rate: float, most: float) -> None:
    chart = line_chart([("v2", [Sample(0, rate)])], start=0, end=60, limit=0.01)
    assert chart.y_ticks[-1].value == most


def test_marks_outside_the_time_shown_are_left_out() -> None:
    chart = line_chart([("v2", [])], start=100, end=160, marks=[(90, "Held"), (130, "Resumed"), (170, "Advanced")])
    assert [(mark.first, mark.title) for mark in chart.marks] == [(130, "Resumed")]


def test_marks_too_close_to_be_told_apart_are_one_with_every_name() -> None:
    events = [(130, "Advanced"), (131, "Held"), (132.5, "Advanced"), (150, "Rolled back")]
    first, second = line_chart([("v2", [])], start=100, end=160, marks=reversed(events)).marks
    assert (first.title, first.first, first.last, first.count) == ("Advanced 2 times, Held", 130, 132.5, 3)
    assert second.title == "Rolled back"
    assert first.position < second.position


@given(st.floats(min_value=1e-6, max_value=1e6))
def test_ticks_are_even_round_and_reach_the_highest_value(highest: float) -> None:
    ticks = nice_ticks(highest)
    assert ticks[0] == 0
    assert ticks[-1] >= highest * (1 - 1e-6)
    assert 2 <= len(ticks) <= 5
    assert re.fullmatch(r"[125]0*e[+-]\d+", f"{ticks[1]:.0e}")


@pytest.mark.parametrize(("power", "filled"), [(-3.0, 0.0), (0.0, 0.0), (99.0, 320.0)])
def test_evidence_fills_the_bar_from_nothing_to_full(power: float, filled: float) -> None:
    assert evidence_bar(power, log10_hold=1, log10_rollback=3).filled == filled


def test_the_bar_reaches_its_marks_exactly_when_the_evidence_does() -> None:
    at_hold, at_rollback = (evidence_bar(power, log10_hold=1, log10_rollback=2.7) for power in (1.0, 2.7))
    assert at_hold.filled == at_hold.hold
    assert at_rollback.filled == at_rollback.rollback


def test_an_alert_that_never_rolls_back_has_no_such_mark() -> None:
    assert evidence_bar(1, log10_hold=1, log10_rollback=None).rollback is None
