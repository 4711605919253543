"""Let requests that wait at the same moment share one transaction; nobody waits for others to come."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from control_plane.platform.db.fair_semaphore import MAX_WAIT_SECONDS
from control_plane.platform.problems import is_transient

Request = TypeVar("Request")
Result = TypeVar("Result")
MAX_SIZE = 32
LOG = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Waiter(Generic[Request, Result]):
    """A thread with its request. Whoever releases `woken` has set `batch`, which it leads, its `result`, or neither."""

    request: Request
    woken: threading.Lock = field(default_factory=threading.Lock)
    batch: "Sequence[_Waiter[Request, Result]]" = ()
    result: Result | None = None


class GroupCommit(Generic[Request, Result]):
    """One transaction at a time. The requests that come meanwhile are run together by the next one, in their order.

    A transaction that takes too long has another cause than the other requests; those who wait begin one beside it.

    `run_batch` returns None for each request that it leaves open; that one is run alone by its own thread, and so is
    every request of a call that raised, so an error reaches nobody but who caused it.
    """

    def __init__(
        self,
        run_one: Callable[[Request], Result],
        run_batch: Callable[[Sequence[Request]], Sequence[Result | None]],
        *,
        max_size: int = MAX_SIZE,
        max_wait_seconds: float = MAX_WAIT_SECONDS,
    ) -> None:
        self._run_one, self._run_batch = run_one, run_batch
        self._max_size, self._max_wait_seconds = max_size, max_wait_seconds
        self._lock = threading.Lock()
        self._leaders = 0
        self._waiters: deque[_Waiter[Request, Result]] = deque()

    def run(self, request: Request) -> Result:
        """Return the result, committed. Raises what `run_one` raises."""
        waiter = self._enqueue(request)
        if waiter is None:
            try:
                return self._run_one(request)
            finally:
                self._hand_over()
        try:
            if not waiter.woken.acquire(timeout=self._max_wait_seconds):
                self._lead_beside(waiter)
        except BaseException:
            self._leave(waiter)
            raise
        if waiter.batch:
            return self._lead(waiter)
        return self._run_one(request) if waiter.result is None else waiter.result

    def _enqueue(self, request: Request) -> _Waiter[Request, Result] | None:
        """Return what to wait by; None for whoever finds no leader and leads at once."""
        with self._lock:
            if not self._leaders:
                self._leaders = 1
                return None
            waiter: _Waiter[Request, Result] = _Waiter(request)
            waiter.woken.acquire()
            self._waiters.append(waiter)
            return waiter

    def _lead_beside(self, waiter: _Waiter[Request, Result]) -> None:
        """Let the waiter lead those who wait; where it has just become part of a batch, wait for that one."""
        with self._lock:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
                self._waiters.appendleft(waiter)
                self._leaders += 1
                waiter.batch = self._next_batch()
                return
        waiter.woken.acquire()

    def _leave(self, waiter: _Waiter[Request, Result]) -> None:
        """Let a thread that is interrupted wait no more; the batch that it may lead by now goes on without it."""
        with self._lock:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
                return
        if waiter.batch:
            for each in waiter.batch[1:]:
                each.woken.release()
            self._hand_over()

    def _lead(self, waiter: _Waiter[Request, Result]) -> Result:
        try:
            if len(waiter.batch) == 1:
                return self._run_one(waiter.request)
            self._commit_batch(waiter.batch)
        finally:
            self._hand_over()
        return self._run_one(waiter.request) if waiter.result is None else waiter.result

    def _commit_batch(self, batch: Sequence[_Waiter[Request, Result]]) -> None:
        """Run all of `batch` in one transaction, and wake the others whatever comes of it."""
        try:
            results = self._run_batch([each.request for each in batch])
            for each, result in zip(batch, results, strict=True):
                each.result = result
        except Exception as error:
            # Each runs alone now, and meets its own error, or finds under its key what was committed after all.
            LOG.warning("Requests that were run together are run one by one.", exc_info=not is_transient(error))
        finally:
            for each in batch[1:]:
                each.woken.release()

    def _hand_over(self) -> None:
        """Let whoever has waited longest lead, with those behind it; end the lead where it is not needed."""
        with self._lock:
            if not self._waiters or self._leaders > 1:
                self._leaders -= 1
                return
            batch = self._next_batch()
            # Under the lock: a thread whose patience ends now must find itself in the batch.
            batch[0].batch = batch
        batch[0].woken.release()

    def _next_batch(self) -> Sequence[_Waiter[Request, Result]]:
        return [self._waiters.popleft() for _ in range(min(self._max_size, len(self._waiters)))]
