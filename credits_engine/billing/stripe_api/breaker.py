"""A circuit breaker: after some failures in a row nobody asks for a while, then one may try."""

import threading
from collections.abc import Callable

FAILURES_MAX = 3
PAUSE_SECONDS = 30.0


class BreakerOpenError(Exception):
    """Asking is paused because it failed too often just now."""


class Breaker:
    """Lets calls through while they succeed. `clock` counts seconds and never goes back."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._again_at = 0.0

    @property
    def is_open(self) -> bool:
        """Return whether no request may be sent now."""
        with self._lock:
            return self._failures >= FAILURES_MAX and self._clock() < self._again_at

    def enter(self) -> None:
        """Ask for permission. Raises BreakerOpenError; after the pause one caller gets through to try."""
        with self._lock:
            if self._failures < FAILURES_MAX:
                return
            if self._clock() < self._again_at:
                raise BreakerOpenError(f"Stripe failed {self._failures} times in a row; asking again is paused.")
            self._again_at = self._clock() + PAUSE_SECONDS

    def succeeded(self) -> None:
        """The call got an answer."""
        with self._lock:
            self._failures = 0

    def failed(self) -> None:
        """The call got none."""
        with self._lock:
            self._failures += 1
            self._again_at = self._clock() + PAUSE_SECONDS
