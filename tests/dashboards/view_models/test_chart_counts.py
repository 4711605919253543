"""The counts of a long chart: added up by points, read once where they are over, and never out of date."""

from datetime import UTC, datetime, timedelta

from flask import Flask

from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import Sample
from dashboards.chart_windows import ChartWindow, TimeScale, time_scale
from dashboards.view_models.chart_counts import ChartCounts
from tests import statements
from tests.dashboards.browsing import read_session

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
DAY = time_scale(ChartWindow.DAY, NOW)


def write(app: Flask, moment: datetime, *bad: bool) -> None:
    """Count outcomes at this time."""
    with app.app_context():
        for each in bad:
            signals.record(Sample("api_error_rate", bad=each))
        signals.flush(moment)


def read(app: Flask, counts: ChartCounts, scale: TimeScale = DAY) -> dict[int, tuple[int, int]]:
    """Return the bad and all outcomes by the number of the point."""
    with read_session(app) as session:
        found = counts.read(session, scale)
    return {point: (count.bad, count.total) for (_, point), count in found.items()}


def test_minutes_are_added_up_by_points_up_to_now(app: Flask) -> None:
    for ago, bad in ((0, True), (13, False), (14, True), (60 * 26, True)):
        write(app, NOW - timedelta(minutes=ago), bad)
    points = [DAY.end // 12, (DAY.end - 13) // 12, (DAY.end - 14) // 12]
    expected: dict[int, tuple[int, int]] = {}
    for point, count in zip(points, (1, 0, 1), strict=True):
        seen = expected.get(point, (0, 0))
        expected[point] = (seen[0] + count, seen[1] + 1)
    assert read(app, ChartCounts()) == expected


def test_what_still_grows_is_read_again_and_what_is_over_is_not(app: Flask) -> None:
    counts = ChartCounts()
    write(app, NOW - timedelta(hours=5), True)
    read(app, counts)
    write(app, NOW, True)
    with app.app_context(), statements.noted() as sent:
        found = read(app, counts)
    assert found[DAY.last] == (1, 1)
    assert sum("signal_minute" in statement for statement, _ in sent) == 1


def test_a_point_that_was_late_a_moment_ago_is_there_once_its_time_is_over(app: Flask) -> None:
    counts = ChartCounts()
    end_of_point = datetime.fromtimestamp(DAY.last * DAY.step * 60, UTC)
    read(app, counts, time_scale(ChartWindow.DAY, end_of_point + timedelta(seconds=1)))
    write(app, end_of_point - timedelta(seconds=1), True)
    for later in (timedelta(seconds=30), timedelta(minutes=3), timedelta(minutes=20)):
        found = read(app, counts, time_scale(ChartWindow.DAY, end_of_point + later))
        assert found[DAY.last - 1] == (1, 1), later
