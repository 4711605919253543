"""A line of threads: so many at once, in the order of coming, and nobody stands in it for long."""

import threading
from collections import deque

PATIENCE_SECONDS = 0.05
"""Who has waited so long goes ahead: what is slow then is not what the line is for, and standing makes it worse."""


class Line:
    """So many places, handed on in the order of coming: whoever has waited longest is next, and nobody slips in."""

    def __init__(self, places: int, patience_seconds: float) -> None:
        self._free = places
        self._patience_seconds = patience_seconds
        self._lock = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return len(self._waiting)

    def enter(self) -> bool:
        """Take a place, or go ahead without one when patience ends; whether there is a place to `leave`."""
        with self._lock:
            if self._free:
                self._free -= 1
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
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._free += 1
