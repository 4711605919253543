"""Bound how many threads work on one key at once, so that what everybody shares is never taken by one key alone."""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


class KeyBusyError(Exception):
    """Too many wait for this key already, or those before took too long."""


@dataclass(slots=True)
class _Key:
    """How many hold a permit of one key, and who waits for one."""

    taken: int = 0
    waiters: deque[threading.Lock] = field(default_factory=deque)


class KeyedSemaphore:
    """So many permits for each key, handed on in the order of coming; keys that nobody holds take no memory."""

    def __init__(self, permits: int, *, most_waiting: int, max_wait_seconds: float) -> None:
        self._permits, self._most_waiting, self._max_wait_seconds = permits, most_waiting, max_wait_seconds
        self._lock = threading.Lock()
        self._keys: dict[str, _Key] = {}

    @contextmanager
    def hold(self, key: str) -> Iterator[None]:
        """Hold a permit of `key` within the block. Raises KeyBusyError."""
        self._acquire(key)
        try:
            yield
        finally:
            self._release(key)

    def _acquire(self, key: str) -> None:
        with self._lock:
            found = self._keys.setdefault(key, _Key())
            if found.taken < self._permits:
                found.taken += 1
                return
            if len(found.waiters) >= self._most_waiting:
                raise KeyBusyError(key)
            turn = threading.Lock()
            turn.acquire()
            found.waiters.append(turn)
        is_ours = False
        try:
            is_ours = turn.acquire(timeout=self._max_wait_seconds)
        finally:
            if not is_ours:
                self._leave(key, found, turn)
        if not is_ours:
            raise KeyBusyError(key)

    def _leave(self, key: str, found: _Key, turn: threading.Lock) -> None:
        """Wait no more; a permit that was handed on between the end of the wait and this lock goes to the next."""
        with self._lock:
            if turn in found.waiters:
                found.waiters.remove(turn)
                return
        self._release(key)

    def _release(self, key: str) -> None:
        with self._lock:
            found = self._keys[key]
            if found.waiters:
                found.waiters.popleft().release()  # the permit is the waiter's before it wakes
                return
            found.taken -= 1
            if not found.taken:
                del self._keys[key]
