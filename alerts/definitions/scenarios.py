"""A scenario: counters over time and the verdicts to expect, so that owners of thresholds can try them. Pure.

It is judged by the very code that guards, in an attempt that begins with it and exposes users.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from pydantic import BaseModel, ConfigDict, Field, field_validator

from alerts.analysis import quantities
from alerts.analysis.attribution import Pairs
from alerts.analysis.evidence import Evidence
from alerts.analysis.judge_inputs import JudgeInputs
from alerts.analysis.rules import ErrorBudget, Rule, error_budgets, rule_test
from alerts.analysis.sequential_test import step
from alerts.analysis.verdicts import Status, Verdict, judge
from control_plane.signal_counts import Counts

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)


class Increment(BaseModel):
    """The counts of one alert since the step before; `shared` of the bad ones failed in the control as well.

    Of an alert per account these are users: `total` who came first in this hour, `bad` who failed first in it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    bad: int = Field(default=0, ge=0)
    total: int = Field(ge=0)
    shared: int | None = Field(default=None, ge=0)


class Step(BaseModel):
    """One look of the guard."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    at: float
    counts: dict[str, Increment] = Field(default_factory=dict)
    expect: dict[str, Status] = Field(default_factory=dict)

    @field_validator("at", mode="before")
    @classmethod
    def _duration(cls, value: object) -> float:
        return float(quantities.parse_duration(str(value)))


class Scenario(BaseModel):
    """Steps in the order of time."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: list[Step]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One expectation and what the guard concluded."""

    at_seconds: float
    alert: str
    expected: Status
    verdict: Verdict

    @property
    def as_expected(self) -> bool:
        return self.verdict.status is self.expected


@dataclass(frozen=True, slots=True)
class _AlertRun:
    """One alert so far: its evidence, verdict and everything it counted."""

    rule: Rule
    evidence: Evidence = field(default_factory=Evidence)
    verdict: Verdict | None = None
    seen: tuple[tuple[float, Increment], ...] = ()


def play(scenario: Scenario, rules: Sequence[Rule]) -> Iterator[Outcome]:
    """Yield every expectation with its verdict.

    Raises ValueError for an alert that there is not, and for steps backwards.
    """
    watched = {rule.name: _AlertRun(rule) for rule in rules}
    budgets = error_budgets(rules)
    before = 0.0
    for each in scenario.steps:
        _check(each, watched, before)
        before = each.at
        for name, state in watched.items():
            watched[name] = _evaluate(state, each, budgets[name])
        for name, expected in each.expect.items():
            verdict = watched[name].verdict
            assert verdict is not None
            yield Outcome(each.at, name, expected, verdict)


def _check(each: Step, watched: Mapping[str, object], before: float) -> None:
    unknown = sorted({*each.counts, *each.expect} - watched.keys())
    if unknown:
        raise ValueError(f"At {each.at:g} s: there is no alert {', '.join(unknown)}; known are {', '.join(watched)}.")
    if each.at < before:
        raise ValueError(f"At {each.at:g} s: the step before is at {before:g} s; list steps in the order of time.")


def _evaluate(state: _AlertRun, each: Step, budget: ErrorBudget) -> _AlertRun:
    rule, now = state.rule, BEGINNING + timedelta(seconds=each.at)
    increments = (*state.seen, (each.at, each.counts[rule.name])) if rule.name in each.counts else state.seen
    latest = each.counts.get(rule.name, Increment(total=0))
    evidence = step(rule_test(rule), state.evidence, Counts(latest.bad, latest.total), at=now)
    window = [one for at, one in increments if at > each.at - rule.window_seconds]
    bad, total = sum(one.bad for one in window), sum(one.total for one in window)
    counts = Counts(bad, max(bad, total) if rule.by_account else total)
    inputs = JudgeInputs(exposed=True, window=counts, pairs=_pairs(rule, window, counts))
    verdict = judge(rule, evidence, inputs, budget=budget, previous=state.verdict, now=now)
    return replace(state, evidence=evidence, verdict=verdict, seen=increments)


def _pairs(rule: Rule, window: Sequence[Increment], counts: Counts) -> Pairs | None:
    """Return how the engines failed on the same requests, as far as the scenario says."""
    if not rule.attributable or any(one.shared is None for one in window):
        return None
    shared = sum(one.shared or 0 for one in window)
    return Pairs(
        decided=counts.total,
        compared=counts.total,
        candidate_only=counts.bad - shared,
        control_only=0,
        control_failed=shared,
    )
