"""Detect routed operations that leave no counts. No data is not calm: nobody may be exposed unwatched.

Pure. No traffic is no gap: it takes operations that went to the candidate and were never counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

UNANSWERED_MINIMUM = 3
"""Fewer may be what a process that was killed took along."""


@dataclass(frozen=True, slots=True)
class DataGap:
    """How many counts were due when one last came, and how many are by now."""

    due_at_last_count: int = 0
    due_now: int = 0
    began: datetime | None = None
    until: datetime | None = None
    """When the last of them came due: what came after that is no gap but a pause."""

    @property
    def seconds(self) -> float:
        """For how long operations were routed without a count."""
        if self.began is None or self.until is None or self.due_now - self.due_at_last_count < UNANSWERED_MINIMUM:
            return 0.0
        return max(0.0, (self.until - self.began).total_seconds())


def update_gap(before: DataGap, *, due: int, counted: int, now: datetime) -> DataGap:
    """Return the gap after a look that found `due` counts in all and `counted` new ones."""
    if counted or due <= before.due_at_last_count:
        return DataGap(due, due)
    if due > before.due_now:
        return DataGap(before.due_at_last_count, due, before.began or now, now)
    return DataGap(before.due_at_last_count, due, before.began, before.until)


def to_json(gap: DataGap) -> dict[str, object]:
    """Return `gap` as plain JSON values."""
    return {
        "heard": gap.due_at_last_count,
        "seen": gap.due_now,
        "began": gap.began.isoformat() if gap.began else None,
        "until": gap.until.isoformat() if gap.until else None,
    }


def from_json(stored: Mapping[str, Any]) -> DataGap:
    """Return the gap that `to_json` wrote."""
    began, until = (datetime.fromisoformat(stored[name]) if stored[name] else None for name in ("began", "until"))
    return DataGap(stored["heard"], stored["seen"], began, until)
