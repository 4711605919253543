"""Run one implementation safely: its errors are caught, and what it returns is checked before use. Pure."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import Generic, Self, TypeVar

NANOSECONDS_PER_MICROSECOND = 1_000
ERROR_CHARACTERS = 300

Name = TypeVar("Name", bound=str)
Decision = TypeVar("Decision")

Timer = Callable[[], int]
"""A monotonic clock in nanoseconds."""

Check = Callable[[object], str | None]
"""Says in a sentence why a returned value is no decision; None when it is one."""


def accept_all(_decision: object) -> str | None:
    """Accept whatever was returned."""
    return None


@dataclass(frozen=True, slots=True)
class Observation(Generic[Name, Decision]):
    """One implementation's decision, or the error that prevented one, and how long it took."""

    name: Name
    decision: Decision | None
    error: str | None = None
    duration_us: int = 0
    skipped: bool = False
    """It was not run at all; an `error` says why where that is not about the caller's time."""
    exception: Exception | None = field(default=None, compare=False, repr=False)
    """As it was raised, for the caller of the side that serves."""

    @classmethod
    def of(
        cls, name: Name, run: Callable[[], Decision], *, check: Check = accept_all, timer: Timer = perf_counter_ns
    ) -> Self:
        """Run an implementation. Nothing that it raises gets past this."""
        attempt = _Attempt[Decision](timer)
        with attempt:
            attempt.take(run(), check)
        return cls(name, *attempt.outcome(), exception=attempt.pop_exception())

    @classmethod
    async def of_coroutine(
        cls, name: Name, run: Callable[[], Awaitable[Decision]], *, timer: Timer = perf_counter_ns
    ) -> Self:
        """Run an implementation that is awaited, in the event loop of the caller, like `of`."""
        attempt = _Attempt[Decision](timer)
        with attempt:
            attempt.take(await run(), accept_all)
        return cls(name, *attempt.outcome(), exception=attempt.pop_exception())

    @classmethod
    def skip(cls, name: Name, reason: str | None = None) -> Self:
        """Return the observation of an implementation that was not run."""
        return cls(name, None, reason, skipped=True)

    @property
    def failed(self) -> bool:
        """Return whether it was run and gave no decision."""
        return self.error is not None and not self.skipped


class _Attempt(Generic[Decision]):
    """One run between two readings of the clock; what it raises ends the block and is kept."""

    __slots__ = ("_decision", "_error", "_exception", "_started", "_timer")

    def __init__(self, timer: Timer) -> None:
        self._timer = timer
        self._decision: Decision | None = None
        self._error: str | None = None
        self._exception: Exception | None = None

    def __enter__(self) -> None:
        self._started = self._timer()

    def __exit__(self, _type: object, raised: BaseException | None, _traceback: object) -> bool:
        if isinstance(raised, Exception):
            self._decision, self._error, self._exception = None, describe_error(raised), raised
        return self._exception is not None

    def take(self, decision: Decision, check: Check) -> None:
        """Keep what was returned, unless it is no decision."""
        self._error = check(decision)
        self._decision = None if self._error else decision

    def outcome(self) -> tuple[Decision | None, str | None, int]:
        """Return the decision, the error, and the microseconds that it took."""
        return self._decision, self._error, (self._timer() - self._started) // NANOSECONDS_PER_MICROSECOND

    def pop_exception(self) -> Exception | None:
        """Return what was raised, and forget it: its traceback holds the frame that holds this."""
        exception, self._exception = self._exception, None
        return exception


def describe_error(error: Exception) -> str:
    """Describe the error, even where its own text can't be made."""
    try:
        return f"{type(error).__name__}: {error}"[:ERROR_CHARACTERS]
    except Exception:
        return type(error).__name__
