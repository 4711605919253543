"""Detect routed operations that leave no counts. No data is not calm: nobody may be exposed unwatched.

Pure. No traffic is no silence: it takes operations that went to the candidate and were never counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

UNANSWERED_MINIMUM = 3
"""Fewer may be what a process that was killed took along."""


@dataclass(frozen=True, slots=True)
class DataGap:
    """`heard` is how many counts were due when one last came, `seen` how many are by now."""

    heard: int = 0
    seen: int = 0
    began: datetime | None = None
    until: datetime | None = None
    """When the last of them came due: what came after that is no silence but a pause."""

    @property
    def seconds(self) -> float:
        """For how long operations were routed without a count."""
        if self.began is None or self.until is None or self.seen - self.heard < UNANSWERED_MINIMUM:
            return 0.0
        return max(0.0, (self.until - self.began).total_seconds())


def update_gap(before: DataGap, *, due: int, counted: int, now: datetime) -> DataGap:
    """Return the silence after a look that found `due` counts in all and `counted` new ones."""
    if counted or due <= before.heard:
        return DataGap(due, due)
    if due > before.seen:
        return DataGap(before.heard, due, before.began or now, now)
    return DataGap(before.heard, due, before.began, before.until)


def to_json(silence: DataGap) -> dict[str, object]:
    """Return `silence` as plain JSON values."""
    return {
        "heard": silence.heard,
        "seen": silence.seen,
        "began": silence.began.isoformat() if silence.began else None,
        "until": silence.until.isoformat() if silence.until else None,
    }


def from_json(stored: Mapping[str, Any]) -> DataGap:
    """Return the silence that `to_json` wrote."""
    began, until = (datetime.fromisoformat(stored[name]) if stored[name] else None for name in ("began", "until"))
    return DataGap(stored["heard"], stored["seen"], began, until)
