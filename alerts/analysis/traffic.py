"""Whether an hour had unusually many or few operations, by the same hour of the weeks before. Pure.

A company's traffic has its days and hours, and grows; so the same hour of other weeks is what an hour is held against.
It is unusual where it is twice the most or half the least of them, and chance does not make as much.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

WEEKS, WEEKS_MIN = 4, 3
"""So many weeks are looked at, and so many are needed."""
TIMES = 2
CHANCE_DEVIATIONS = 5.0
"""Counts of independent operations deviate by more than so many standard deviations hardly once in a million hours."""


@dataclass(frozen=True, slots=True)
class TrafficHour:
    """The operations of an hour, and of the same hour of the weeks before, as far back as there are any."""

    count: int
    weeks: Sequence[int]

    @property
    def is_spike(self) -> bool:
        """Return whether there were far more operations than in any of the weeks."""
        most = max(self.weeks, default=0)
        return self._is_known and self.count > TIMES * most and self._is_beyond_chance(most)

    @property
    def is_drop(self) -> bool:
        """Return whether there were far fewer operations than in any of the weeks."""
        least = min(self.weeks, default=0)
        return self._is_known and TIMES * self.count < least and self._is_beyond_chance(least)

    @property
    def is_unusual(self) -> bool:
        """Return whether it was a spike or a drop."""
        return self.is_spike or self.is_drop

    @property
    def _is_known(self) -> bool:
        return len(self.weeks) >= WEEKS_MIN

    def _is_beyond_chance(self, other: int) -> bool:
        return abs(self.count - other) > CHANCE_DEVIATIONS * sqrt(self.count + other)
