"""Run one implementation safely: its errors are caught, and what it returns is checked before use. Pure."""

from collections.abc import Callable
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
        exception: Exception | None = None
        started = timer()
        try:
            decision: Decision | None = run()
            error = check(decision)
        except Exception as raised:
            decision, error, exception = None, describe_error(raised), raised
        duration_us = (timer() - started) // NANOSECONDS_PER_MICROSECOND
        try:
            return cls(name, None if error else decision, error, duration_us, exception=exception)
        finally:
            del exception  # its traceback holds this frame: the two would wait for the garbage collector

    @classmethod
    def skip(cls, name: Name, reason: str | None = None) -> Self:
        """Return the observation of an implementation that was not run."""
        return cls(name, None, reason, skipped=True)

    @property
    def failed(self) -> bool:
        """Return whether it was run and gave no decision."""
        return self.error is not None and not self.skipped


def describe_error(error: Exception) -> str:
    """Describe the error, even where its own text can't be made."""
    try:
        return f"{type(error).__name__}: {error}"[:ERROR_CHARACTERS]
    except Exception:
        return type(error).__name__
