"""Bound how many threads run one statement at once, in the order of coming, and for a short wait only."""

import threading
from collections import deque
from math import inf

MAX_WAIT_SECONDS = 0.05
"""A thread that has waited so long goes ahead: then the slowness has another cause, and waiting only adds to it."""
LATEST = 100


class FairSemaphore:
    """So many permits, handed on in the order of coming: the longest waiter is next, and no thread slips in."""

    def __init__(self, permits: int, max_wait_seconds: float = MAX_WAIT_SECONDS) -> None:
        self._permits = permits
        self._taken = 0
        self._max_wait_seconds = max_wait_seconds
        self._lock = threading.Lock()
        self._waiters: deque[threading.Lock] = deque()

    @property
    def waiting(self) -> int:
        """Return the number of waiters."""
        return len(self._waiters)

    @property
    def permits(self) -> int:
        """Return the number of permits."""
        return self._permits

    def acquire(self) -> bool:
        """Take a permit, or go ahead without one after the longest wait; return whether there is one to release."""
        with self._lock:
            if self._taken < self._permits:
                self._taken += 1
                return True
            turn = threading.Lock()
            turn.acquire()
            self._waiters.append(turn)
        if turn.acquire(timeout=self._max_wait_seconds):
            return True
        with self._lock:
            # Time is up, but `release` may have handed the permit on between the timeout and this lock: then it is ours
            # to give back.
            if turn in self._waiters:
                self._waiters.remove(turn)
                return False
        return True  # handed on at the very last moment

    def release(self) -> None:
        """Hand the permit on."""
        with self._lock:
            self._taken -= 1
            self._admit()

    def resize(self, permits: int) -> None:
        """Change the number of permits; those that are taken stay so."""
        with self._lock:
            self._permits = permits
            self._admit()

    def _admit(self) -> None:
        while self._waiters and self._taken < self._permits:
            # Taken on behalf of the waiter, before it wakes: nobody who comes now can slip in between.
            self._taken += 1
            self._waiters.popleft().release()


class AdaptiveLimit:
    """Derive a concurrency limit from the fastest recent latency: 1 + latency / step.

    Even the fastest takes the way there and back and the disk, which others can use meanwhile. What the rest take
    beyond that is each other, and more at once would only make it longer: on the machine of the database two at once
    cost a tenth of the throughput, eight a fifth.
    """

    def __init__(self, *, one_more_seconds: float = 0.001, most: int = 8, latest: int = LATEST) -> None:
        self._one_more_seconds = one_more_seconds
        self._most = most
        self._latest = latest
        self._fastest, self._count = inf, 0

    def observe(self, seconds: float) -> int | None:
        """Count one latency; return the new limit after each `latest` of them, otherwise None.

        Two threads at the same time may lose a count, which costs nothing.
        """
        self._fastest = min(self._fastest, seconds)
        self._count += 1
        if self._count < self._latest:
            return None
        limit = min(self._most, 1 + int(self._fastest / self._one_more_seconds))
        self._fastest, self._count = inf, 0
        return limit
