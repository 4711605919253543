"""Faults ordered into an engine, for exercise only: the served product has no place where they could be switched on."""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from time import perf_counter_ns

from credits_engine.engines import v2
from credits_engine.engines.amounts import NOTHING
from credits_engine.engines.decisions import Book, Decision, Engine, Outcome, Request

SLOW_NANOSECONDS = 600_000_000
PATTERN = re.compile(r"(?P<kind>[a-z-]+):(?P<rate>[0-9.]+)@(?P<when>[A-Za-z0-9_-]+)")


class FaultKind(StrEnum):
    """The kinds of faults in an engine."""

    DOUBLE_CHARGE = "double-charge"
    FAIL = "fail"
    DENY = "deny"
    FREE = "free"
    SLOW = "slow"


class InjectedFailureError(RuntimeError):
    """An engine fails because it was told to."""


@dataclass(frozen=True, slots=True)
class Fault:
    """From an operation or a phase on, a share of the answers goes wrong."""

    kind: FaultKind
    rate: float
    from_operation: int | None = None
    from_phase: str | None = None

    def active(self, operation: int, phases_entered: Sequence[str]) -> bool:
        """Return whether the fault has begun."""
        if self.from_operation is not None:
            return operation >= self.from_operation
        return self.from_phase in phases_entered


def parse(text: str, phase_names: Sequence[str]) -> Fault:
    """Parse `KIND:RATE@WHEN`, WHEN an operation number or a phase name; raises ValueError that says what to write."""
    match = PATTERN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no fault; write KIND:RATE@WHEN, as in double-charge:0.10@6000.")
    kind, when = match["kind"], match["when"]
    if kind not in list(FaultKind):
        raise ValueError(f"There is no fault {kind!r}; choose one of {', '.join(FaultKind)}.")
    try:
        rate = float(match["rate"])
    except ValueError:
        rate = -1.0
    if not 0 < rate <= 1:
        raise ValueError(f"The rate {match['rate']} is no share; write a number above 0 and up to 1.")
    if when.isdecimal():
        return Fault(FaultKind(kind), rate, from_operation=int(when))
    if when not in phase_names:
        raise ValueError(f"{when!r} is no operation number and no phase; the phases are {', '.join(phase_names)}.")
    return Fault(FaultKind(kind), rate, from_phase=when)


class FaultInjectingEngine:
    """An engine, v2 unless it is said, with faults in it.

    `timer` is the clock to measure it with: slowness is simulated, not slept.
    """

    def __init__(self, faults: Sequence[Fault], *, seed: int, engine: Engine = v2.decide) -> None:
        self._faults = faults
        self._engine = engine
        self._random = random.Random(seed)  # noqa: S311 - repeatable on purpose, protects nothing
        self.delay_nanoseconds = 0
        self._active: list[Fault] = []

    def order(self, faults: Sequence[Fault]) -> None:
        """Replace the faults from the next operation on."""
        self._faults = faults

    def proceed(self, operation: int, phases_entered: Sequence[str]) -> bool:
        """Take note of where the rehearsal is; returns whether any fault is active there."""
        self._active = [fault for fault in self._faults if fault.active(operation, phases_entered)]
        return bool(self._active)

    def timer(self) -> int:
        """Return nanoseconds, ordered delays included."""
        return perf_counter_ns() + self.delay_nanoseconds

    def decide(self, book: Book, request: Request) -> Decision:
        """Return the engine's decision, spoilt as ordered."""
        struck = [fault.kind for fault in self._active if self._random.random() < fault.rate]
        if FaultKind.FAIL in struck:
            raise InjectedFailureError("Injected by the replay.")
        if FaultKind.SLOW in struck:
            self.delay_nanoseconds += SLOW_NANOSECONDS
        decision = self._engine(book, request)
        for kind in struck:
            decision = SPOILS.get(kind, _without_fault)(decision)
        return decision


def _doubled(decision: Decision) -> Decision:
    return replace(decision, charged=decision.charged + decision.charged)


def _denied(decision: Decision) -> Decision:
    return replace(decision, outcome=Outcome.DENIED_LIMIT, charged=NOTHING)


def _free(decision: Decision) -> Decision:
    return replace(decision, charged=NOTHING)


def _without_fault(decision: Decision) -> Decision:
    return decision


SPOILS: dict[FaultKind, Callable[[Decision], Decision]] = {
    FaultKind.DOUBLE_CHARGE: _doubled,
    FaultKind.DENY: _denied,
    FaultKind.FREE: _free,
}
