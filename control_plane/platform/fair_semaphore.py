"""A line of threads: so many at once, in the order of coming, and nobody stands in it for long."""

import threading
from collections import deque
from math import inf

MAX_WAIT_SECONDS = 0.05
"""Who has waited so long goes ahead: what is slow then is not what the line is for, and standing makes it worse."""


class FairSemaphore:
    """So many places, handed on in the order of coming: whoever has waited longest is next, and nobody slips in."""

    def __init__(self, places: int, patience_seconds: float) -> None:
        self._places = places
        self._inside = 0
        self._patience_seconds = patience_seconds
        self._lock = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()

    @property
    def waiting(self) -> int:
        """Return the number of waiters."""
        return len(self._waiting)

    @property
    def places(self) -> int:
        """Return the number of permits."""
        return self._places

    def enter(self) -> bool:
        """Take a place, or go ahead without one when patience ends; whether there is a place to `leave`."""
        with self._lock:
            if self._inside < self._places:
                self._inside += 1
                return True
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append(turn)
        if turn.acquire(timeout=self._patience_seconds):
            return True
        with self._lock:
            if turn in self._waiting:
                self._waiting.remove(turn)
                return False
        return True  # handed on at the very last moment

    def leave(self) -> None:
        """Hand the place on."""
        with self._lock:
            self._inside -= 1
            self._let_in()

    def resize(self, places: int) -> None:
        """Let so many in at once from now on; whoever is inside stays."""
        with self._lock:
            self._places = places
            self._let_in()

    def _let_in(self) -> None:
        while self._waiting and self._inside < self._places:
            self._inside += 1
            self._waiting.popleft().release()


class AdaptiveLimit:
    """A concurrency limit derived from the fastest recent latency: one, and one more per step of waiting.

    Only the quickest of the latest counts. What even that one takes is the way there and back and the disk, which
    others can use meanwhile; what the rest take besides is each other, and more at once would only make it longer.
    """

    def __init__(self, *, one_more_seconds: float, most: int, latest: int) -> None:
        self._one_more_seconds = one_more_seconds
        self._most = most
        self._latest = latest
        self._quickest, self._seen = inf, 0

    def observe(self, seconds: float) -> int | None:
        """Count one; how many at once from now on, each time as many as look back have been counted.

        Two threads at the same time may lose a count, which costs nothing.
        """
        self._quickest = min(self._quickest, seconds)
        self._seen += 1
        if self._seen < self._latest:
            return None
        worth = min(self._most, 1 + int(self._quickest / self._one_more_seconds))
        self._quickest, self._seen = inf, 0
        return worth
