"""Work with a time limit: whoever waits for it goes on without it, however long it hangs."""

import threading
from collections.abc import Callable, Hashable
from contextvars import copy_context
from queue import Empty, SimpleQueue
from typing import TypeVar

T = TypeVar("T")


class TimeLimit:
    """Runs work in a thread of its own, by a key. What was given up is not begun again before it ends."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._lock = threading.Lock()
        self._running: set[Hashable] = set()

    def run(self, key: Hashable, work: Callable[[], T]) -> T:
        """Return what `work` returns, or raise what it raises. Raises TimeoutError where that takes too long."""
        with self._lock:
            if key in self._running:
                raise TimeoutError
            self._running.add(key)
        ended: SimpleQueue[tuple[T, None] | tuple[None, BaseException]] = SimpleQueue()
        # The application is the caller's, by its context. Nothing waits for the thread at the end of the process.
        context = copy_context()
        threading.Thread(target=context.run, args=(self._work, key, work, ended.put), daemon=True).start()
        try:
            result, error = ended.get(timeout=self.seconds)
        except Empty:
            raise TimeoutError from None
        if error is not None:
            raise error
        return result  # type: ignore[return-value] # the one that is no error

    def _work(self, key: Hashable, work: Callable[[], T], end: Callable[..., None]) -> None:
        try:
            outcome: tuple[object, BaseException | None] = (work(), None)
        except BaseException as error:  # raised again for whoever waits
            outcome = (None, error)
        with self._lock:
            self._running.discard(key)
        end(outcome)
