"""Run the control and the candidate on one request and compare them; only the side that serves reaches the caller.

Pure: `publication.py` counts a result for the guard.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from enum import StrEnum
from operator import eq
from time import perf_counter_ns
from typing import Generic, TypeVar

from control_plane.experiments.migration import Migration
from control_plane.experiments.observation import Check, Observation, Timer, accept_all
from control_plane.experiments.shadow_budget import ShadowBudgets

Request = TypeVar("Request")
Decision = TypeVar("Decision")


class Difference(StrEnum):
    """The result of a comparison; `not_compared` where a side gave no decision or the comparison itself failed."""

    MATCH = "match"
    MISMATCH = "mismatch"
    IGNORED = "ignored"
    NOT_COMPARED = "not_compared"


@dataclass(frozen=True, slots=True)
class Result(Generic[Decision]):
    """What both sides did with one request."""

    served: Observation[str, Decision]
    shadow: Observation[str, Decision]
    difference: Difference

    def answer(self) -> Decision:
        """Return the decision of the side that serves, or raise what it raised, as if there were no experiment."""
        if self.served.exception is not None:
            raise self.served.exception
        if self.served.error is not None:
            raise ValueError(self.served.error)
        decision: Decision = self.served.decision  # type: ignore[assignment]  # None may be a decision
        return decision


def ignore_nothing(_request: object, _control: object, _candidate: object) -> bool:
    """Ignore no difference."""
    return False


@dataclass(frozen=True, slots=True)
class Experiment(Generic[Request, Decision]):
    """A migration with its two implementations, and when their decisions count as the same."""

    migration: Migration
    control: Callable[[Request], Decision]
    candidate: Callable[[Request], Decision]
    compare: Callable[[Decision, Decision], bool] = eq
    """Whether the control's decision and the candidate's are the same."""
    ignore: Callable[[Request, Decision, Decision], bool] = ignore_nothing
    """Whether a difference is wanted: the request, the control's decision and the candidate's."""
    check: Check = accept_all
    copy: Callable[[Request], Request] = deepcopy
    budgets: ShadowBudgets = field(default_factory=ShadowBudgets)
    timer: Timer = perf_counter_ns

    def run(self, request: Request, *, candidate_serves: bool) -> Result[Decision]:
        """Run both sides. The shadow gets a copy that was made before the serving side could change the request."""
        control, candidate = (self.migration.control, self.control), (self.migration.candidate, self.candidate)
        serving, other = (candidate, control) if candidate_serves else (control, candidate)
        copied = self._copied(other[0], request)
        served = Observation.of(serving[0], lambda: serving[1](request), check=self.check, timer=self.timer)
        shadow = self._shadow(*other, copied)
        return Result(served, shadow, self._difference(request, served, shadow))

    def _copied(self, name: str, request: Request) -> Observation[str, Request]:
        if not self.budgets.of(name).admits(self.timer()):
            return Observation.skip(name)
        return Observation.of(name, lambda: self.copy(request), timer=self.timer)

    def _shadow(
        self, name: str, run: Callable[[Request], Decision], copied: Observation[str, Request]
    ) -> Observation[str, Decision]:
        if copied.skipped or copied.error is not None:
            return Observation(name, None, copied.error, copied.duration_us, copied.skipped)
        observation = Observation.of(
            name,
            lambda: run(copied.decision),  # type: ignore[arg-type]  # None may be a request
            check=self.check,
            timer=self.timer,
        )
        # The caller waits for the copy as well.
        self.budgets.of(name).spend(copied.duration_us + observation.duration_us, self.timer())
        return observation

    def _difference(
        self, request: Request, served: Observation[str, Decision], shadow: Observation[str, Decision]
    ) -> Difference:
        if served.error is not None or shadow.error is not None or shadow.skipped:
            return Difference.NOT_COMPARED
        decisions = {each.name: each.decision for each in (served, shadow)}
        control, candidate = decisions[self.migration.control], decisions[self.migration.candidate]

        def compared() -> Difference:
            if self.compare(control, candidate):  # type: ignore[arg-type]
                return Difference.MATCH
            wanted = self.ignore(request, control, candidate)  # type: ignore[arg-type]
            return Difference.IGNORED if wanted else Difference.MISMATCH

        found = Observation.of("comparison", compared, timer=self.timer)
        return found.decision or Difference.NOT_COMPARED
