"""Work that repeats within seconds. What is due together is done by one thread, one piece after the other.

To wake a thread for each piece costs more than most of them do, for it finds the caches of the processor cold: 0.5 ms
for a question to the database that takes 0.05 right after another one.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

PULSE_SECONDS = 0.5
"""Work begins at these instants; what repeats more often has a thread of its own."""
THREADS_MAX = 16
"""So many pieces may hang at once, each in a thread, before the others have to wait for them."""


@dataclass(slots=True)
class Work:
    """A piece of work that repeats. `call` handles its own errors."""

    name: str
    seconds: float
    call: Callable[[], None]
    due: float
    """By the monotonic clock."""
    is_alone: bool = False
    """It has a thread of its own, because it must never wait for other work."""
    is_under_way: bool = False

    def postpone(self, now: float) -> None:
        """Make it due at the next interval after `now`; those that were missed are left out."""
        self.due += self.seconds * (1 + max(0, (now - self.due) // self.seconds))


class Schedule:
    """All work of one process."""

    def __init__(self) -> None:
        self.work: list[Work] = []
        self._due: deque[Work] = deque()
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []
        self._pool = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="jobs")

    def add(self, work: Work) -> None:
        """Add work, before the start."""
        work.is_alone |= work.seconds < PULSE_SECONDS
        self.work.append(work)

    def start(self) -> None:
        """Begin, in threads that go on until `stop`."""
        alone = [work for work in self.work if work.is_alone]
        self._threads = [
            *(threading.Thread(target=self._repeat, args=[work], name=work.name, daemon=True) for work in alone),
            threading.Thread(
                target=self._follow,
                args=[[work for work in self.work if not work.is_alone]],
                name="schedule",
                daemon=True,
            ),
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let nothing begin any more, and wait for what is under way."""
        self._stopped.set()
        for thread in self._threads:
            thread.join()
        self._due.clear()
        self._pool.shutdown(cancel_futures=True)

    def _repeat(self, work: Work) -> None:
        while not self._stopped.wait(max(0.0, work.due - time.monotonic())):
            work.call()
            work.postpone(time.monotonic())

    def _follow(self, shared: Sequence[Work]) -> None:
        while shared:
            earliest = min(work.due for work in shared)
            pulse = -(-earliest // PULSE_SECONDS) * PULSE_SECONDS
            if self._stopped.wait(max(0.0, pulse - time.monotonic())):
                return
            self._begin(shared, time.monotonic())

    def _begin(self, shared: Sequence[Work], now: float) -> None:
        # What the pulse before began and nobody has come to yet waits behind something slow: a thread for each.
        threads = 1 + len(self._due)
        for work in shared:
            if work.due <= now:
                work.postpone(now)
                if not work.is_under_way:
                    work.is_under_way = True
                    self._due.append(work)
        for _ in range(min(threads, len(self._due))):
            self._pool.submit(self._work_off)

    def _work_off(self) -> None:
        while self._due:
            try:
                work = self._due.popleft()
            except IndexError:
                return  # another thread was faster
            try:
                work.call()
            finally:
                work.is_under_way = False
