"""Shadows in threads of their own: no caller waits for one, none can end a process, and one that hangs is given up."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, Full, Queue

Run = Callable[[], None]
THREADS = 2
HUNG_MAX = 8
"""So many hung shadows are replaced by new threads; beyond, shadows are skipped until one of them ends."""
WAITING_MAX = 200
IDLE_SECONDS = 5.0
WAIT_SECONDS = 0.02


@dataclass(slots=True, eq=False)
class Shadow:
    """One run of a shadow. `run` and `give_up` never raise; just one of `finish` and `give_up` reports it."""

    run: Run
    finish: Run
    give_up: Run
    started: float = field(default=0.0)


class ShadowThreads:
    """Threads that run shadows, of one process."""

    def __init__(self, limit_seconds: float) -> None:
        self._limit_seconds = limit_seconds
        self._waiting: Queue[Shadow] = Queue(WAITING_MAX)
        self._lock = threading.Lock()
        self._running: dict[int, Shadow] = {}
        self._threads = 0
        self._hung = 0
        self._pending = 0

    def submit(self, shadow: Shadow) -> bool:
        """Run `shadow` soon; False where too many wait already."""
        with self._lock:
            try:
                self._waiting.put_nowait(shadow)
            except Full:
                return False
            self._pending += 1
        self._start()
        return True

    def expire(self) -> None:
        """Give up every shadow that has run longer than the limit; its thread can't be ended, so it is replaced."""
        before = time.monotonic() - self._limit_seconds
        with self._lock:
            late = [each for each in self._running.values() if each.started < before]
            for each in late:
                del self._running[id(each)]
            self._hung += len(late)
        for each in late:
            self._end(each.give_up)
        if late and not self._waiting.empty():
            self._start()

    def wait(self) -> None:
        """Wait until every shadow is reported, which none delays beyond the limit."""
        give_up = time.monotonic() + self._limit_seconds + WAIT_SECONDS
        while self._pending and time.monotonic() < give_up:
            time.sleep(WAIT_SECONDS)
            self.expire()

    @property
    def _threads_max(self) -> int:
        return THREADS + min(self._hung, HUNG_MAX)

    def _start(self) -> None:
        with self._lock:
            if self._threads >= self._threads_max:
                return
            self._threads += 1
        threading.Thread(target=self._work, name="flags-shadow", daemon=True).start()

    def _work(self) -> None:
        while True:
            try:
                shadow = self._waiting.get(timeout=IDLE_SECONDS)
            except Empty:
                with self._lock:
                    # Whoever submits now starts a thread of its own, or this one takes it at its next round.
                    if self._waiting.empty():
                        self._threads -= 1
                        return
                continue
            if not self._run(shadow):
                return

    def _run(self, shadow: Shadow) -> bool:
        """Return whether this thread goes on: not after a shadow that was given up, and its thread replaced."""
        shadow.started = time.monotonic()
        with self._lock:
            self._running[id(shadow)] = shadow
        # Nothing that a shadow raises is the service's: not even what asks to end the process.
        with suppress(BaseException):
            shadow.run()
        with self._lock:
            in_time = self._running.pop(id(shadow), None) is not None
            self._hung -= not in_time
            surplus = self._threads > self._threads_max
            self._threads -= surplus
        if in_time:
            self._end(shadow.finish)
        return not surplus

    def _end(self, report: Run) -> None:
        report()
        with self._lock:
            self._pending -= 1
