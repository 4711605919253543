"""One alert under guard, judged tick by tick."""

from datetime import UTC, datetime, timedelta

from alerts.analysis.attribution import NO_ARMS, Pairs
from alerts.analysis.evidence import Evidence
from alerts.analysis.judge_inputs import JudgeInputs
from alerts.analysis.rules import ErrorBudget, Rule, rule_test
from alerts.analysis.sequential_test import step
from alerts.analysis.verdicts import Verdict, judge
from alerts.definitions.parser import parse
from control_plane.signal_counts import Counts

START = datetime(2026, 3, 1, tzinfo=UTC)
ALPHA = 0.002
TEXT = """
alerts:
  credit_consumption_failure: {threshold: 1%, window: 5m, severity: critical}
  api_error_rate: {threshold: 1%, window: 5m, severity: critical}
  database_query_slow: {threshold: 500ms, window: 5m, severity: warning}
  credit_variance: {threshold: 0.1%, window: 5m, severity: critical}
  credit_drift: {threshold: 5%, window: 5m, severity: critical}
"""

FAILURE, ERRORS, SLOW, VARIANCE, DRIFT = parse(TEXT)


class GuardedFlag:
    """One alert, tick by tick."""

    def __init__(self, rule: Rule = FAILURE, *, exposed: bool = True, alpha: float | None = ALPHA) -> None:
        self.rule, self.exposed, self.budget = rule, exposed, ErrorBudget(rollback=alpha, hold=0.1)
        self.evidence, self.verdict, self.at = Evidence(), None, START
        self.pairs: Pairs | None = None
        self.arms, self.control_faults = NO_ARMS, Counts()
        self.served, self.served_counts = Evidence(), Counts()

    verdict: Verdict | None

    def tick(self, bad: int = 0, total: int = 0, *, seconds: float = 1, gap_seconds: float = 0) -> Verdict:
        """Judge the alert `seconds` later, after `total` more outcomes, the last window's among them."""
        self.at += timedelta(seconds=seconds)
        self.evidence = step(rule_test(self.rule), self.evidence, Counts(bad, total), at=self.at)
        self.served = step(rule_test(self.rule), self.served, self.served_counts, at=self.at)
        inputs = JudgeInputs(
            self.exposed,
            Counts(bad, total),
            gap_seconds=gap_seconds,
            pairs=self.pairs,
            arms=self.arms,
            served=self.served,
            control_faults=self.control_faults,
        )
        self.verdict = judge(self.rule, self.evidence, inputs, budget=self.budget, previous=self.verdict, now=self.at)
        return self.verdict
