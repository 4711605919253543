"""Run both implementations of a flag on one request; only the side that serves reaches the caller."""

import logging
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from hashlib import blake2b
from inspect import isawaitable, iscoroutine, iscoroutinefunction
from operator import eq
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from control_plane.experiments.observation import Observation
from control_plane.platform.observability.cohort_names import checked
from flags.client.reporter import Reporter
from flags.client.shadows import Shadow, ShadowThreads

Decision = TypeVar("Decision")

CONTROL, CANDIDATE = "control", "candidate"
LIMIT_SECONDS = 1.0
TOO_SLOW = "It gave no answer within the limit."
ENDED = "It ended its thread."
ACCOUNT_BYTES = 8
MICROSECONDS_MAX = 3_600_000_000
log = logging.getLogger(__name__)
NO_COHORTS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Comparison(Generic[Decision]):
    """Two implementations of one thing, and when their answers count as the same."""

    control: Callable[..., Decision]
    candidate: Callable[..., Decision]
    arguments: tuple[Any, ...] = ()
    equal: Callable[[Decision, Decision], bool] = eq
    """Whether the control's answer and the candidate's are the same."""
    copy: Callable[[Any], Any] = deepcopy
    """Gives the shadow arguments of its own, and keeps the answer as it was when it was given."""


@dataclass(frozen=True, slots=True)
class Request(Generic[Decision]):
    """One request as it was served."""

    flag: str
    account: str
    comparison: Comparison[Decision]
    served: Observation[str, Decision]
    answer: Observation[str, Decision]
    """A copy of the answer that the caller cannot change."""
    cohorts: dict[str, str]

    def result(self, shadow: Observation[str, Decision], *, equal: bool | None = None) -> dict[str, object]:
        """Return what is reported of it, once it is known what the shadow did."""
        sides = {side.name: _outcome(side) for side in (self.served, shadow)}
        return {
            "served": self.served.name,
            "account": self.account,
            **sides,
            "equal": equal,
            "cohorts": self.cohorts,
        }

    def is_equal(self, shadow: Observation[str, Decision]) -> bool | None:
        """Return whether both answered alike; None where a side gave no answer or they can't be compared."""
        if any(side.skipped or side.error is not None for side in (self.served, self.answer, shadow)):
            return None
        answers: dict[str, Any] = {self.served.name: self.answer.decision, shadow.name: shadow.decision}
        found = Observation.of("equal", lambda: bool(self.comparison.equal(answers[CONTROL], answers[CANDIDATE])))
        return found.decision


class Comparisons:
    """The comparisons of one process."""

    def __init__(self, url: str, token: str, limit_seconds: float = LIMIT_SECONDS) -> None:
        self._limit_us = round(limit_seconds * 1e6)
        self._shadows = ShadowThreads(limit_seconds)
        self._reporter = Reporter(url, token, before_each=self._shadows.expire)

    def run(
        self,
        flag: str,
        comparison: Comparison[Decision],
        *,
        candidate_serves: bool,
        key: str,
        cohorts: Mapping[str, str] = NO_COHORTS,
    ) -> Decision:
        """Answer by the side that serves; raise what it raised. The other follows in a thread of its own."""
        named = checked(cohorts)
        _refuse_coroutines(comparison)
        sides = {CONTROL: comparison.control, CANDIDATE: comparison.candidate}
        serving, other = (CANDIDATE, CONTROL) if candidate_serves else (CONTROL, CANDIDATE)
        # Copied before the serving side can change them, and its answer before the caller can change that.
        copied = Observation.of(other, lambda: comparison.copy(comparison.arguments))
        served = Observation.of(serving, lambda: sides[serving](*comparison.arguments))
        if _is_deferred(served.decision):
            log.warning("%s answers with a %s, of which nothing can be compared.", flag, type(served.decision).__name__)
            return served.decision  # type: ignore[return-value] # it was answered
        answer = served if served.error is not None else _copied(comparison, served)
        request = Request(flag, _account(key), comparison, replace(served, exception=None), answer, named)
        self._follow(request, sides[other], copied)
        if served.exception is not None:
            raise served.exception
        decision: Decision = served.decision  # type: ignore[assignment] # None may be an answer
        return decision

    def close(self) -> None:
        """Report what is still to be reported."""
        self._shadows.wait()
        self._reporter.close()

    def _follow(
        self, request: Request[Decision], run: Callable[..., Decision], copied: Observation[str, tuple[Any, ...]]
    ) -> None:
        """Run the shadow and report; where its arguments can't be copied, or too many wait, it is skipped."""
        name, arguments = copied.name, copied.decision or ()
        results: list[dict[str, object]] = []

        def report(result: dict[str, object]) -> None:
            self._reporter.add(request.flag, result)

        def observe() -> None:
            shadow: Observation[str, Decision] = Observation.of(name, lambda: run(*arguments), check=_refuse_deferred)
            results.append(request.result(shadow, equal=request.is_equal(shadow)))

        def finish() -> None:
            report(results[0] if results else request.result(Observation(name, None, ENDED)))

        def give_up() -> None:
            report(request.result(Observation(name, None, TOO_SLOW, self._limit_us)))

        if copied.error is not None or not self._shadows.submit(Shadow(observe, finish, give_up)):
            report(request.result(Observation.skip(name, copied.error)))


def _copied(comparison: Comparison[Decision], served: Observation[str, Decision]) -> Observation[str, Decision]:
    found: Observation[str, Decision] = Observation.of(served.name, lambda: comparison.copy(served.decision))
    return found


def _refuse_coroutines(comparison: Comparison[Any]) -> None:
    for side in (comparison.control, comparison.candidate):
        if iscoroutinefunction(side):
            raise TypeError(f"{side} is a coroutine function; compare takes functions that return their answer.")


def _is_deferred(answer: object) -> bool:
    """Return whether somebody has yet to run what gives the answer: until then nothing is known of it."""
    return isawaitable(answer) or isinstance(answer, Generator | AsyncGenerator)


def _refuse_deferred(answer: object) -> str | None:
    if iscoroutine(answer):
        answer.close()  # nobody will run it, which Python would complain of
    return f"It gave a {type(answer).__name__} in place of an answer." if _is_deferred(answer) else None


def _account(key: str) -> str:
    """Return a hash of the account: the guard has to tell accounts apart, and nobody has to know them."""
    return blake2b(key.encode(errors="surrogatepass"), digest_size=ACCOUNT_BYTES).hexdigest()


def _outcome(side: Observation[str, Any]) -> dict[str, object]:
    outcome = "skipped" if side.skipped else "answered" if side.error is None else "failed"
    return {"outcome": outcome, "durationUs": min(max(side.duration_us, 0), MICROSECONDS_MAX)}
