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

from control_plane.cohort_names import checked
from control_plane.experiments.observation import Observation
from flags.client.reporter import Reporter
from flags.client.shadow_tasks import AsyncShadow, ShadowTasks
from flags.client.shadow_threads import Shadow, ShadowThreads

Decision = TypeVar("Decision")

CONTROL, CANDIDATE = "control", "candidate"
LIMIT_SECONDS = 1.0
TOO_SLOW = "It gave no answer within the limit."
ENDED = "It ended its thread or its task."
ACCOUNT_BYTES = 8
MICROSECONDS_MAX = 3_600_000_000
log = logging.getLogger(__name__)
NO_COHORTS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)  # with slots `Comparison[int](…)` would fail
class Comparison(Generic[Decision]):
    """Two implementations of one thing, and when their answers count as the same."""

    control: Callable[..., Any]
    candidate: Callable[..., Any]
    arguments: tuple[object, ...] = ()
    equal: Callable[[Decision, Decision], bool] = eq
    """Whether the control's answer and the candidate's are the same."""
    copy: Callable[[Any], Any] = deepcopy
    """Gives the shadow arguments of its own, and keeps the answer as it was when it was given."""


@dataclass(frozen=True, slots=True)
class Sides(Generic[Decision]):
    """Both sides of one request before either has run."""

    flag: str
    account: str
    comparison: Comparison[Decision]
    serving: str
    other: str
    copied: Observation[str, tuple[object, ...]]
    """The shadow's arguments, copied before the serving side can change them."""
    cohorts: dict[str, str]

    @classmethod
    def of(
        cls,
        flag: str,
        comparison: Comparison[Decision],
        *,
        candidate_serves: bool,
        key: str,
        cohorts: Mapping[str, str],
    ) -> "Sides[Decision]":
        """Choose the side that serves, and copy the arguments. Raises ValueError for cohorts that can't be counted."""
        serving, other = (CANDIDATE, CONTROL) if candidate_serves else (CONTROL, CANDIDATE)
        named = checked(cohorts)
        copied = Observation.of(other, lambda: comparison.copy(comparison.arguments))
        return cls(flag, _account(key), comparison, serving, other, copied, named)

    def serve(self) -> Any:
        """Run the side that serves, with the caller's own arguments."""
        return self._of(self.serving)(*self.comparison.arguments)

    def shadow(self) -> Any:
        """Run the other side, with copies."""
        return self._of(self.other)(*(self.copied.decision or ()))

    def served(self, answer: Observation[str, Decision]) -> "Request[Decision]":
        """Return the request as it was served; the answer is copied before the caller can change it."""
        returned = answer if answer.error is not None else _copied(self.comparison, answer)
        return Request(
            self.flag, self.account, self.comparison, replace(answer, exception=None), returned, self.cohorts
        )

    def _of(self, side: str) -> Callable[..., Any]:
        return self.comparison.candidate if side == CANDIDATE else self.comparison.control


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


class ShadowReport(Generic[Decision]):
    """What becomes of one shadow, reported once by whoever knows it."""

    def __init__(self, reporter: Reporter, request: Request[Decision], name: str, limit_us: int) -> None:
        self._reporter = reporter
        self._request = request
        self._name = name
        self._limit_us = limit_us
        self._results: list[dict[str, object]] = []

    def observed(self, shadow: Observation[str, Decision]) -> None:
        """Keep what it did, to be reported as it finishes."""
        self._results.append(self._request.result(shadow, equal=self._request.is_equal(shadow)))

    def finish(self) -> None:
        """Report what it did; one that left nothing ended whatever it ran in."""
        self._add(self._results[0] if self._results else self._request.result(Observation(self._name, None, ENDED)))

    def give_up(self) -> None:
        """Report that it was too slow."""
        self._add(self._request.result(Observation(self._name, None, TOO_SLOW, self._limit_us)))

    def skip(self, error: str | None = None) -> None:
        """Report that it was not run."""
        self._add(self._request.result(Observation.skip(self._name, error)))

    def _add(self, result: dict[str, object]) -> None:
        self._reporter.add(self._request.flag, result)


class Comparisons:
    """The comparisons of one process."""

    def __init__(self, url: str, token: str, limit_seconds: float = LIMIT_SECONDS) -> None:
        self._limit_us = round(limit_seconds * 1e6)
        self._shadows = ShadowThreads(limit_seconds)
        self._tasks = ShadowTasks(limit_seconds)
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
        _refuse_coroutines(comparison)
        sides = Sides.of(flag, comparison, candidate_serves=candidate_serves, key=key, cohorts=cohorts)
        served: Observation[str, Decision] = Observation.of(sides.serving, sides.serve)
        if _is_deferred(served.decision):
            log.warning("%s answers with a %s, of which nothing can be compared.", flag, type(served.decision).__name__)
            return served.decision  # type: ignore[return-value] # it was answered
        report = self._report(sides, served)

        def observe() -> None:
            report.observed(Observation.of(sides.other, sides.shadow, check=_refuse_deferred))

        shadow = Shadow(observe, report.finish, report.give_up)
        if sides.copied.error is not None or not self._shadows.submit(shadow):
            report.skip(sides.copied.error)
        return _answer(served)

    async def run_async(
        self,
        flag: str,
        comparison: Comparison[Decision],
        *,
        candidate_serves: bool,
        key: str,
        cohorts: Mapping[str, str] = NO_COHORTS,
    ) -> Decision:
        """Do the same with coroutine functions. The other side follows in a task of its own."""
        _require_coroutines(comparison)
        sides = Sides.of(flag, comparison, candidate_serves=candidate_serves, key=key, cohorts=cohorts)
        served: Observation[str, Decision] = await Observation.of_coroutine(sides.serving, sides.serve)
        report = self._report(sides, served)

        async def observe() -> None:
            report.observed(await Observation.of_coroutine(sides.other, sides.shadow))

        shadow = AsyncShadow(observe, report.finish, report.give_up, report.skip)
        if sides.copied.error is not None or not self._tasks.submit(shadow):
            report.skip(sides.copied.error)
        return _answer(served)

    def close(self) -> None:
        """Report what is still to be reported."""
        self._shadows.wait()
        self._reporter.close()

    def _report(self, sides: Sides[Decision], served: Observation[str, Decision]) -> ShadowReport[Decision]:
        return ShadowReport(self._reporter, sides.served(served), sides.other, self._limit_us)


def _answer(served: Observation[str, Decision]) -> Decision:
    if served.exception is not None:
        raise served.exception
    decision: Decision = served.decision  # type: ignore[assignment] # None may be an answer
    return decision


def _copied(comparison: Comparison[Decision], served: Observation[str, Decision]) -> Observation[str, Decision]:
    found: Observation[str, Decision] = Observation.of(served.name, lambda: comparison.copy(served.decision))
    return found


def _refuse_coroutines(comparison: Comparison[Any]) -> None:
    for side in (comparison.control, comparison.candidate):
        if iscoroutinefunction(side):
            raise TypeError(f"{side} is a coroutine function, which compare_async takes; compare takes no such one.")


def _require_coroutines(comparison: Comparison[Any]) -> None:
    for side in (comparison.control, comparison.candidate):
        if not iscoroutinefunction(side):
            raise TypeError(f"{side} is no coroutine function, so it would keep the event loop; compare takes it.")


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
