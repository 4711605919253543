"""A budget for the shadow: how much of the callers' time it may take before it is skipped.

A function in the caller's own thread can't be interrupted, so the bound is this: a shadow that is too slow delays
`OVERRUNS` operations of a process by its own duration, then none for `BACKOFF_SECONDS`, then one by way of trial, and
so on. What could delay without end is kept out of the engines: they do no input or output and have no open-ended loop.
"""

from dataclasses import dataclass, field
from threading import Lock

BUDGET_US = 10_000
OVERRUNS = 3
PAUSE_SECONDS = 60
NANOSECONDS_PER_SECOND = 1_000_000_000


@dataclass(slots=True)
class ShadowBudget:
    """One process's account of one shadow; threads share it."""

    budget_us: int = BUDGET_US
    _overruns: int = 0
    _resumes_ns: int | None = None
    _lock: Lock = field(default_factory=Lock)

    def admits(self, now_ns: int) -> bool:
        """Return whether the shadow may run now; after a pause exactly one operation tries it."""
        if self._resumes_ns is None:
            return True
        with self._lock:
            resumes_ns = self._resumes_ns or now_ns
            if now_ns < resumes_ns:
                return False
            self._resumes_ns = now_ns + PAUSE_SECONDS * NANOSECONDS_PER_SECOND
            return True

    def spend(self, duration_us: int, now_ns: int) -> None:
        """Take note of how long the shadow took. Only overruns in a row count: a busy machine is slow now and then."""
        if duration_us <= self.budget_us:
            if self._overruns:
                with self._lock:
                    self._overruns, self._resumes_ns = 0, None
            return
        with self._lock:
            self._overruns += 1
            if self._overruns >= OVERRUNS:
                self._resumes_ns = now_ns + PAUSE_SECONDS * NANOSECONDS_PER_SECOND


@dataclass(frozen=True, slots=True)
class ShadowBudgets:
    """One process's budgets by the side that shadows: one that is too slow is skipped alone, and still compared where
    it serves.
    """

    budget_us: int = BUDGET_US
    _budgets: dict[str, ShadowBudget] = field(default_factory=dict)

    def of(self, side: str) -> ShadowBudget:
        """Return the budget of this side as the shadow."""
        return self._budgets.get(side) or self._budgets.setdefault(side, ShadowBudget(self.budget_us))
