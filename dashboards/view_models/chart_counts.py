"""The counts behind the charts of a long window: what is over is read once, and only what still grows again."""

from collections.abc import Mapping
from datetime import timedelta

from sqlalchemy.orm import Session

from control_plane.platform.extensions import AppState
from control_plane.platform.observability import signal_points
from control_plane.platform.observability.signals import SeriesKey
from control_plane.signal_counts import Counts
from dashboards.chart_windows import TimeScale

LATE_MINUTES = 2
"""A process writes its counts within seconds; a step that ended so long ago grows no more."""
MARGIN = timedelta(hours=1)
"""The first points are rates over time before them, as long as the longest window of an alert."""
ENTRIES_MAX = 32

CountsByPoint = Mapping[tuple[SeriesKey, int], Counts]


class ChartCounts:
    """The counts of steps that are over, by the time that they cover."""

    def __init__(self) -> None:
        self._over: dict[tuple[int, int, int], CountsByPoint] = {}

    def read(self, session: Session, scale: TimeScale) -> CountsByPoint:
        """Return the counts of each series by the number of the point."""
        first = scale.first - scale.points(MARGIN)
        over = max(first, (scale.end - LATE_MINUTES) // scale.step)
        key = (first, over, scale.step)
        known = self._over.get(key)
        read_from = first if known is None else over
        fresh = signal_points.points(session, first=read_from, end=scale.last + 1, step=scale.step)
        if known is not None:
            return {**known, **fresh}
        if len(self._over) >= ENTRIES_MAX:
            self._over.clear()
        self._over[key] = {each: count for each, count in fresh.items() if each[1] < over}
        return fresh


CHART_COUNTS = AppState[ChartCounts]("chart_counts", ChartCounts)
