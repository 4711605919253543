"""The guard's lease as this process sees it: exposure in production ends with it."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

NEVER_BEATEN = datetime.min.replace(tzinfo=UTC)


class GuardLease:
    """The guard's lease as this process last saw it, counted down by a clock that nobody can set."""

    def __init__(self, seconds_max: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds_max = seconds_max
        self._clock = clock
        self._expires_at: datetime | None = None
        self._ends = clock()

    def observe(self, expires_at: datetime | None, now: datetime) -> None:
        """Take note of the lease as the database has it at `now`."""
        if expires_at is None or expires_at == self._expires_at:
            return
        # A heartbeat can't grant more than the setting, however far the wall clocks of two hosts are apart.
        remaining = min((expires_at - now).total_seconds(), self._seconds_max)
        # The wall clock counts here alone, once per heartbeat. Were it set back while the database is away, an exposure
        # that nobody watches would otherwise last longer.
        self._ends = self._clock() + max(0.0, remaining)
        self._expires_at = expires_at

    @property
    def expired_at(self) -> datetime | None:
        """When the lease ended; None while it is held."""
        return None if self._clock() < self._ends else self._expires_at or NEVER_BEATEN

    @property
    def age_seconds(self) -> float | None:
        """Return the age of the guard's last heartbeat in this process's view; None before the first."""
        return None if self._expires_at is None else self._clock() - self._ends + self._seconds_max
