"""The threads in which requests are answered: few while each goes on, more where some only wait.

Each thread that wants the interpreter wakes up every millisecond to ask for it, so many of them cost a quarter of what
the requests do. A request that has waited a while for a thread gets a new one: then the others wait for something else.
"""

import threading
import time
from collections import deque
from collections.abc import Callable

Work = Callable[[], None]

FEW = 32
PATIENCE_SECONDS = 0.05
IDLE_SECONDS = 10.0
"""How long a thread beyond the few stays without work."""


class RequestThreads:
    """Up to `most` threads, and a queue in front of them. Whichever had work last is given the next."""

    def __init__(self, most: int, *, few: int = FEW, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._most, self._few, self._patience_seconds = most, min(few, most), patience_seconds
        self._lock = threading.Lock()
        self._count = 0
        self._idle: list[_Thread] = []
        self._queue: deque[tuple[float, Work]] = deque()
        self._is_waiting = threading.Event()

    def watch(self) -> None:
        """Start threads for what waits too long, from now on, until the process ends."""
        threading.Thread(target=self._watch_forever, name="request-threads", daemon=True).start()

    def submit(self, work: Work) -> None:
        """Have `work`, which raises nothing, done in a thread, at once if one is free."""
        with self._lock:
            thread = self._idle.pop() if self._idle else None
            is_new = thread is None and self._count < self._few
            self._count += is_new
            if thread is None and not is_new:
                self._enqueue(time.monotonic(), work)
                return
        if thread is not None:
            thread.give(work)
        else:
            self._start(work)

    def next_work(self, thread: "_Thread") -> Work | None:
        """Return what has waited longest; None where nothing waits, and then `thread` will be given the next."""
        with self._lock:
            if self._queue:
                return self._queue.popleft()[1]
            self._idle.append(thread)
            return None

    def may_end(self, thread: "_Thread") -> bool:
        """Return whether an idle thread may end; it is given nothing more then."""
        with self._lock:
            if thread not in self._idle or self._count <= self._few:
                return False
            self._idle.remove(thread)
            self._count -= 1
            return True

    def start_overdue(self, now: float) -> None:
        """Give a new thread to each that has waited too long, as long as there may be more."""
        while True:
            with self._lock:
                if not self._queue or self._count >= self._most or now - self._queue[0][0] < self._patience_seconds:
                    return
                self._count += 1
                _, work = self._queue.popleft()
            self._start(work)

    def _enqueue(self, since: float, work: Work) -> None:
        self._queue.append((since, work))
        self._is_waiting.set()

    def _start(self, work: Work) -> None:
        try:
            threading.Thread(target=_Thread(self).run, args=[work], name="request", daemon=True).start()
        except RuntimeError:  # the system gives no more threads
            with self._lock:
                self._count -= 1
            work()

    def _watch_forever(self) -> None:
        while self._is_waiting.wait():
            time.sleep(self._patience_seconds)
            self.start_overdue(time.monotonic())
            with self._lock:
                if not self._queue:
                    self._is_waiting.clear()


class _Thread:
    """One of them: its next work, and the lock by which it waits for that."""

    def __init__(self, threads: RequestThreads) -> None:
        self._threads = threads
        self._given = threading.Lock()
        self._given.acquire()
        self._work: Work | None = None

    def give(self, work: Work) -> None:
        """Wake the thread, which is idle, for `work`."""
        self._work = work
        self._given.release()

    def run(self, work: Work | None) -> None:
        """Do `work`, and then whatever is next."""
        while work is not None:
            work()
            work = None  # or what it holds would live as long as the thread has nothing to do
            work = self._threads.next_work(self) or self._wait()

    def _wait(self) -> Work | None:
        """Return the next work; None where the thread has to end."""
        while not self._given.acquire(timeout=IDLE_SECONDS):
            if self._threads.may_end(self):
                return None
        work, self._work = self._work, None
        return work
