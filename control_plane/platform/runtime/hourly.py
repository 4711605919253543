"""Work that is done once for each full hour, whenever in the next one somebody looks."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from control_plane.platform.extensions import AppState

HOUR = timedelta(hours=1)
LAST_HOURS = AppState[dict[str, datetime]]("last_hours", dict)
"""The end of the hour for which this process did each work last."""


def once_for_hour(name: str, now: datetime, work: Callable[[datetime], bool]) -> None:
    """Call `work` with the end of the last full hour, unless it was done for that; False has it called again later."""
    ended_at = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    if LAST_HOURS.get().get(name) != ended_at and work(ended_at):
        LAST_HOURS.get()[name] = ended_at
