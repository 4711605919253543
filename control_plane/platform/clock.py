"""The present: by the clock of PostgreSQL, which all hosts share, else by this host's own.

The clock of a host may be minutes off or be set while it runs. So what the database said last is counted on by
`time.monotonic`, which nobody sets: a host that is off leads, decides and stores nothing at a time of its own.
"""

import time
from datetime import UTC, datetime
from threading import Lock

import structlog

TOLERANCE_SECONDS = 0.05
"""How far a measurement may be off beyond the time it took; within that, the present goes on without a step."""
STEP_SECONDS = 1.0
"""A step of the present above this is logged."""

log = structlog.get_logger()


def host_time() -> datetime:
    """Return this host's own clock."""
    return datetime.now(UTC)


class DatabaseClock:
    """The database's clock as this process knows it; until it was read once, the host's."""

    def __init__(self) -> None:
        self._started_at: float | None = None
        self._lock = Lock()

    def now(self) -> datetime:
        """Return the present."""
        started_at = self._started_at
        return host_time() if started_at is None else datetime.fromtimestamp(started_at + time.monotonic(), UTC)

    def observe(self, read: datetime, *, sent: float, answered: float) -> None:
        """Take note of what the database's clock showed between `sent` and `answered`, both of `time.monotonic`."""
        started_at = read.timestamp() - (sent + answered) / 2
        with self._lock:
            before, self._started_at = self._started_at, self._chosen(started_at, (answered - sent) / 2)
        error = started_at - (host_time().timestamp() - answered if before is None else before)
        if abs(error) > STEP_SECONDS and self._started_at != before:
            log.warning("clock.corrected", seconds=round(error, 3), first=before is None)

    def _chosen(self, started_at: float, uncertainty: float) -> float:
        # A present that is moved by each measurement would go back by milliseconds now and then.
        before = self._started_at
        is_same = before is not None and abs(started_at - before) <= TOLERANCE_SECONDS + uncertainty
        return before if before is not None and is_same else started_at


DATABASE_CLOCK = DatabaseClock()
"""A process has one host and one database, so this is no state of an application."""


def now() -> datetime:
    """Return the present for whatever is decided or stored at an edge."""
    return DATABASE_CLOCK.now()
