"""An alert and its cohorts, tick by tick, without a database."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from alerts.analysis.cohort_verdicts import with_cohort
from alerts.analysis.cohorts import CohortCounts, CohortMemory, most_certain, update
from alerts.analysis.evidence import Evidence
from alerts.analysis.judge_inputs import JudgeInputs
from alerts.analysis.rules import Action, Rule, error_budgets, rule_test
from alerts.analysis.sequential_test import step
from alerts.analysis.verdicts import Verdict, judge
from alerts.definitions import parser
from control_plane.cohort_names import Cohort
from control_plane.signal_counts import Counts
from tests.serving import ROOT

START = datetime(2026, 3, 1, tzinfo=UTC)
RULES = {rule.name: rule for rule in parser.parse((ROOT / "alerts.yaml").read_text(encoding="utf-8"))}
FAILURE, REFUSED, VARIANCE, SERVING = (
    RULES[name]
    for name in (
        *("credit_consumption_failure", "credit_refused_by_v2_only", "credit_variance"),
        "credit_serving_failure",
    )
)
CRITICAL = replace(FAILURE, action=Action.ROLLBACK)
STARTER, PRO = Cohort("plan", "starter"), Cohort("plan", "pro")
NEAR, AGAIN = Cohort("near the limit"), Cohort("of accounts that had failed before")
ALL_ALERTS = error_budgets(RULES.values())


class WatchedCohorts:
    """One alert and its cohorts, tick by tick."""

    def __init__(self, rule: Rule = CRITICAL, *, exposed: bool = True) -> None:
        self.rule, self.exposed, self.at = rule, exposed, START
        self.budget = ALL_ALERTS[rule.name]
        self.counts: dict[Cohort, CohortCounts] = {}
        self.memories: Mapping[Cohort, CohortMemory] = {}
        self.evidence = Evidence()
        self.verdict: Verdict | None = None
        self.weigh(begins=True)

    def weigh(self, *, begins: bool = False) -> None:
        self.memories = update(self.rule, self.memories, self.counts, at=self.at, burst_size=1.0, begins=begins)

    def add(
        self,
        cohort: Cohort,
        bad: int,
        total: int,
        *,
        control: Counts | None = None,
        accounts: int = 5,
        at_most: Action = Action.ROLLBACK,
    ) -> None:
        """Add outcomes of a cohort."""
        before = self.counts.get(cohort, CohortCounts())
        legacy = Counts(0, total) if control is None else control
        self.counts[cohort] = CohortCounts(
            before.candidate + Counts(bad, total), before.control + legacy, accounts, at_most
        )

    def tick(self, bad: int = 0, total: int = 0, *, seconds: float = 1) -> Verdict:
        """Judge after `total` more outcomes of all."""
        self.at += timedelta(seconds=seconds)
        self.evidence = step(rule_test(self.rule), self.evidence, Counts(bad, total), at=self.at)
        self.weigh()
        cohort = most_certain(self.rule, self.memories, self.budget, self.evidence.counts)
        inputs = JudgeInputs(self.exposed, Counts(bad, total), cohort=cohort)
        found = judge(self.rule, self.evidence, inputs, budget=self.budget, previous=self.verdict, now=self.at)
        self.verdict = with_cohort(found, self.rule, inputs, budget=self.budget, previous=self.verdict, now=self.at)
        return self.verdict
