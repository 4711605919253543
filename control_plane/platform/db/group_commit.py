"""Let requests that wait at the same moment share one transaction; nobody waits for company."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from control_plane.platform.db.fair_semaphore import MAX_WAIT_SECONDS
from control_plane.platform.problems import is_transient

Question = TypeVar("Question")
Answer = TypeVar("Answer")
MAX_SIZE = 32
LOG = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Waiter(Generic[Question, Answer]):
    """A thread with its question. Whoever releases `woken` has set `batch`, its `answer`, or neither."""

    question: Question
    woken: threading.Lock = field(default_factory=threading.Lock)
    batch: "Sequence[_Waiter[Question, Answer]]" = ()
    answer: Answer | None = None


class GroupCommit(Generic[Question, Answer]):
    """One transaction at a time. Those who come meanwhile are answered together by the next one, in their order.

    A transaction that takes too long has another cause than the others who ask; those who wait go ahead beside it.

    `ask_many` returns None for each question that it leaves open; that one is asked alone by its own thread, and so is
    every question of a call that raised, so an error reaches nobody but who caused it.
    """

    def __init__(
        self,
        ask_one: Callable[[Question], Answer],
        ask_many: Callable[[Sequence[Question]], Sequence[Answer | None]],
        *,
        max_size: int = MAX_SIZE,
        max_wait_seconds: float = MAX_WAIT_SECONDS,
    ) -> None:
        self._ask_one, self._ask_many = ask_one, ask_many
        self._max_size, self._max_wait_seconds = max_size, max_wait_seconds
        self._lock = threading.Lock()
        self._turns = 0
        self._waiters: deque[_Waiter[Question, Answer]] = deque()

    def ask(self, question: Question) -> Answer:
        """Return the answer, committed. Raises what `ask_one` raises."""
        waiter = self._enqueue(question)
        if waiter is None:
            try:
                return self._ask_one(question)
            finally:
                self._hand_over()
        try:
            if not waiter.woken.acquire(timeout=self._max_wait_seconds):
                self._go_ahead(waiter)
        except BaseException:
            self._leave(waiter)
            raise
        if waiter.batch:
            return self._lead(waiter)
        return self._ask_one(question) if waiter.answer is None else waiter.answer

    def _enqueue(self, question: Question) -> _Waiter[Question, Answer] | None:
        """Return what to wait by; None for whoever finds nobody there and has the turn at once."""
        with self._lock:
            if not self._turns:
                self._turns = 1
                return None
            waiter: _Waiter[Question, Answer] = _Waiter(question)
            waiter.woken.acquire()
            self._waiters.append(waiter)
            return waiter

    def _go_ahead(self, waiter: _Waiter[Question, Answer]) -> None:
        """Let the waiter lead those who wait; where a transaction has taken it along just now, wait for that one."""
        with self._lock:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
                self._waiters.appendleft(waiter)
                self._turns += 1
                waiter.batch = self._take()
                return
        waiter.woken.acquire()

    def _leave(self, waiter: _Waiter[Question, Answer]) -> None:
        """Let a thread that is interrupted wait no more; the turn and the company that it may have by now go on."""
        with self._lock:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
                return
        if waiter.batch:
            for each in waiter.batch[1:]:
                each.woken.release()
            self._hand_over()

    def _lead(self, waiter: _Waiter[Question, Answer]) -> Answer:
        try:
            if len(waiter.batch) == 1:
                return self._ask_one(waiter.question)
            self._ask_together(waiter.batch)
        finally:
            self._hand_over()
        return self._ask_one(waiter.question) if waiter.answer is None else waiter.answer

    def _ask_together(self, batch: Sequence[_Waiter[Question, Answer]]) -> None:
        """Ask for all of `batch` in one transaction, and wake the others whatever comes of it."""
        try:
            answers = self._ask_many([each.question for each in batch])
            for each, answer in zip(batch, answers, strict=True):
                each.answer = answer
        except Exception as error:
            # Each asks alone now, and meets its own error, or finds under its key what was committed after all.
            LOG.warning("Operations that were asked together are asked one by one.", exc_info=not is_transient(error))
        finally:
            for each in batch[1:]:
                each.woken.release()

    def _hand_over(self) -> None:
        """Give the turn to whoever has waited longest, with those behind it; end it where it is not needed."""
        with self._lock:
            if not self._waiters or self._turns > 1:
                self._turns -= 1
                return
            batch = self._take()
            # Under the lock: a thread whose patience ends now must find itself taken along.
            batch[0].batch = batch
        batch[0].woken.release()

    def _take(self) -> Sequence[_Waiter[Question, Answer]]:
        return [self._waiters.popleft() for _ in range(min(self._max_size, len(self._waiters)))]
