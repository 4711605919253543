"""Verdicts of one instant that do not contradict each other: what one alert knows of a fault, the others know as well.

Pure. Only alerts about failures and about the time of requests tell each other: who charges wrongly is another matter.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from alerts.analysis.attribution import Attribution
from alerts.analysis.cohort_verdicts import with_cohort
from alerts.analysis.evidence import Evidence
from alerts.analysis.judge_inputs import JudgeInputs
from alerts.analysis.rules import ErrorBudget, Rule
from alerts.analysis.verdicts import Status, Verdict, judge

ACTING = (Status.HOLD, Status.ROLLBACK)
MOST_CERTAIN_FIRST = (Attribution.CANDIDATE_ONLY, Attribution.CONTROL, Attribution.SHARED)


@dataclass(frozen=True, slots=True)
class Case:
    """All that one alert is judged by."""

    rule: Rule
    evidence: Evidence
    inputs: JudgeInputs
    budget: ErrorBudget
    previous: Verdict | None

    @property
    def concerns_requests(self) -> bool:
        """Return whether it is about requests that one engine or the other failed or took long to answer."""
        arms = self.inputs.arms
        return self.rule.attributable or (
            self.rule.metric.engine_unknown and arms.candidate.total + arms.control.total > 0
        )

    def with_known_fault(self, known: Attribution | None) -> "Case":
        """Return the case with what another alert knows of the engine at fault."""
        return replace(self, inputs=replace(self.inputs, known_elsewhere=known))

    def judge(self, now: datetime) -> Verdict:
        """Return the verdict by these inputs alone."""
        verdict = judge(self.rule, self.evidence, self.inputs, budget=self.budget, previous=self.previous, now=now)
        return with_cohort(verdict, self.rule, self.inputs, budget=self.budget, previous=self.previous, now=now)


def judge_together(cases: Sequence[Case], now: datetime) -> list[Verdict]:
    """Return the verdict on each case; one that can't name the engine at fault adopts what another one knows.

    An engine's own failures are excused by what engines count of themselves alone: that somebody else's requests failed
    as well is too little. While both engines fail, no part of the traffic rolls back: where the control served none of
    it, its counts can't tell.
    """
    verdicts = [case.judge(now) for case in cases]
    acting = [
        (case, verdict)
        for case, verdict in zip(cases, verdicts, strict=True)
        if case.concerns_requests and verdict.status in ACTING
    ]
    of_all = _most_certain(verdict for _, verdict in acting)
    of_engines = _most_certain(verdict for case, verdict in acting if case.rule.attributable)
    ignorant = [case for case, verdict in acting if verdict.attribution is Attribution.UNKNOWN]
    agreed = [
        case.with_known_fault(of_engines if case.rule.attributable else of_all).judge(now)
        if case in ignorant
        else verdict
        for case, verdict in zip(cases, verdicts, strict=True)
    ]
    is_shared = any(verdict.attribution is Attribution.SHARED for case, verdict in acting if case.rule.attributable)
    if not is_shared:
        return agreed
    return [_held_by_outage(case, each, now) for case, each in zip(cases, agreed, strict=True)]


def contradictions(verdict: Verdict, others: Sequence[Verdict]) -> str:
    """Return what other alerts that act say of the engine at fault where they say otherwise; empty where none does."""
    said = [
        f" {other.alert} says otherwise: {other.cause}"
        for other in others
        if other.status in ACTING
        and other.attribution is not Attribution.UNKNOWN
        and other.attribution is not verdict.attribution
    ]
    return "".join(said)


def _held_by_outage(case: Case, verdict: Verdict, now: datetime) -> Verdict:
    """Return a rollback for the sake of a cohort alone as a hold, and any other verdict as it is."""
    if not verdict.cohort or verdict.status is not Status.ROLLBACK:
        return verdict
    whole = judge(case.rule, case.evidence, case.inputs, budget=case.budget, previous=case.previous, now=now)
    if whole.status is Status.ROLLBACK:
        return verdict
    control = case.rule.migration.control
    cause = f"That is over the threshold, but {control} fails other requests as well, so going back would not help."
    return verdict._replace(status=Status.HOLD, cause=cause, attribution=Attribution.SHARED)


def _most_certain(verdicts: Iterable[Verdict]) -> Attribution | None:
    found = {verdict.attribution for verdict in verdicts}
    return next((each for each in MOST_CERTAIN_FIRST if each in found), None)
