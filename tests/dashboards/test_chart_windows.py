"""How much time a chart shows, and how far its points are apart."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.chart_windows import LABELS, PHASE_MAX, TITLES, ChartWindow, chart_window, time_scale
from dashboards.charts import POINTS_MAXIMUM

NOW = datetime(2026, 3, 2, 9, 30, 40, tzinfo=UTC)
THIS_MINUTE = int(NOW.timestamp()) // 60


@pytest.mark.parametrize(
    ("window", "minutes", "step", "resolution"),
    [
        (ChartWindow.QUARTER, 15, 1, "minute by minute"),
        (ChartWindow.HOUR, 60, 1, "minute by minute"),
        (ChartWindow.DAY, 1440, 12, "one point for 12\u202fmin"),
    ],
)
def test_a_window_has_its_length_and_a_point_for_each_step(
    window: ChartWindow, minutes: int, step: int, resolution: str
) -> None:
    scale = time_scale(window, NOW)
    assert (scale.end - scale.start, scale.end, scale.step) == (minutes, THIS_MINUTE, step)
    assert scale.resolution == resolution


@given(age=st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=400)))
def test_the_phase_is_shown_from_its_beginning_with_few_points(age: timedelta) -> None:
    scale = time_scale(ChartWindow.PHASE, NOW, NOW - age)
    minutes = scale.end - scale.start
    assert minutes == min(max(age, timedelta(minutes=15)), PHASE_MAX) // timedelta(minutes=1)
    assert scale.last - scale.first <= POINTS_MAXIMUM
    assert scale.first * scale.step <= scale.start
    assert scale.end < (scale.last + 1) * scale.step


def test_a_rate_goes_over_the_alerts_window_and_one_step_at_least() -> None:
    assert time_scale(ChartWindow.HOUR, NOW).points(timedelta(minutes=5)) == 5
    assert time_scale(ChartWindow.DAY, NOW).points(timedelta(minutes=5)) == 1
    assert time_scale(ChartWindow.DAY, NOW).points(timedelta(hours=1)) == 5


def test_every_window_has_a_name_and_anything_else_is_the_hour() -> None:
    assert set(LABELS) == set(TITLES) == set(ChartWindow)
    assert [chart_window(text) for text in ("phase", "24h", "", "month")] == [
        ChartWindow.PHASE,
        ChartWindow.DAY,
        ChartWindow.HOUR,
        ChartWindow.HOUR,
    ]
