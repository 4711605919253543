"""How much time a chart shows and in which steps: the quarter of an hour, the hour, the day, the phase. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from dashboards.charts import POINTS_MAXIMUM
from dashboards.filters import NARROW, span
from dashboards.language import N_, gettext

PHASE_MAX = timedelta(days=28)
"""What a phase that lasts longer shows: its last four weeks."""
SHORTEST = timedelta(minutes=15)


class ChartWindow(StrEnum):
    """The windows by which charts are read."""

    QUARTER = "15m"
    HOUR = "1h"
    DAY = "24h"
    PHASE = "phase"


LENGTHS: Mapping[ChartWindow, timedelta] = {
    ChartWindow.QUARTER: SHORTEST,
    ChartWindow.HOUR: timedelta(hours=1),
    ChartWindow.DAY: timedelta(hours=24),
}
LABELS: Mapping[ChartWindow, str] = {
    ChartWindow.QUARTER: f"15{NARROW}min",
    ChartWindow.HOUR: f"1{NARROW}h",
    ChartWindow.DAY: f"24{NARROW}h",
    ChartWindow.PHASE: N_("This phase"),
}
TITLES: Mapping[ChartWindow, str] = {
    ChartWindow.QUARTER: N_("last 15 minutes"),
    ChartWindow.HOUR: N_("last hour"),
    ChartWindow.DAY: N_("last 24 hours"),
    ChartWindow.PHASE: N_("this phase"),
}
NOTHING: Mapping[ChartWindow, str] = {
    ChartWindow.QUARTER: N_("Nothing was measured in the last 15 minutes."),
    ChartWindow.HOUR: N_("Nothing was measured in the last hour."),
    ChartWindow.DAY: N_("Nothing was measured in the last 24 hours."),
    ChartWindow.PHASE: N_("Nothing was measured in this phase."),
}


@dataclass(frozen=True, slots=True)
class TimeScale:
    """The minutes of the epoch from `start` to `end`, one point for each `step` of them."""

    window: ChartWindow
    start: int
    end: int
    step: int

    @property
    def first(self) -> int:
        """Return the number of the first point; a point's number times `step` is its minute."""
        return self.start // self.step

    @property
    def last(self) -> int:
        """Return the number of the last point, whose time is not over yet."""
        return self.end // self.step

    @property
    def title(self) -> str:
        """Return what is shown, inside a sentence."""
        return gettext(TITLES[self.window])

    @property
    def nothing(self) -> str:
        """Return the sentence in place of a chart of which there is nothing to draw."""
        return gettext(NOTHING[self.window])

    @property
    def resolution(self) -> str:
        """Return how far points are apart, inside a sentence."""
        if self.step == 1:
            return gettext("minute by minute")
        return gettext("one point for %(span)s", span=span(timedelta(minutes=self.step)))

    def points(self, length: timedelta) -> int:
        """Return over how many points a rate over `length` goes; one at least."""
        return max(1, round(length / timedelta(minutes=self.step)))


def time_scale(window: ChartWindow, now: datetime, phase_since: datetime | None = None) -> TimeScale:
    """Return the scale of a window; the phase's begins with the phase, and is no shorter than a quarter of an hour."""
    phase = now - phase_since if phase_since else timedelta(hours=1)
    length = LENGTHS.get(window) or min(max(phase, SHORTEST), PHASE_MAX)
    end, minutes = int(now.timestamp()) // 60, int(length / timedelta(minutes=1))
    return TimeScale(window, end - minutes, end, max(1, -(-minutes // POINTS_MAXIMUM)))


def chart_window(text: str) -> ChartWindow:
    """Return the window of that name; the hour for anything else."""
    return ChartWindow(text) if text in tuple(ChartWindow) else ChartWindow.HOUR


def window_labels() -> Mapping[ChartWindow, str]:
    """Return the windows to choose among, with what each is called."""
    return {window: gettext(label) for window, label in LABELS.items()}
