"""Explain an alert in words and figures: above all, how many bad outcomes it takes. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from alerts.analysis.quantities import duration_text
from alerts.analysis.rules import COHORTS_SHARE, Action, ErrorBudget, Rule, error_budgets, rule_test
from alerts.analysis.safety_test import clean_outcomes_needed
from alerts.analysis.sequential_test import failures_needed
from control_plane.signal_counts import Counts

SIZES = (5, 10, 20, 50, 100, 200, 500, 1000, 5000)
ACTIONS = {
    Action.ROLLBACK: "rolls back by itself",
    Action.HOLD: "holds at most",
    Action.NOTIFY: "only notifies",
}

BY_ACCOUNT = (
    "It counts users by the hour, each with the first operation of an hour; the first bad one makes that user bad.",
    "Within four weeks one user counts once, two count twice; from three on, everything counts.",
    "It has no cohorts, which are counted by operation: give a second alert on the same metric for those.",
)


@dataclass(frozen=True, slots=True)
class ErrorsNeeded:
    """How many of `total` outcomes since the attempt began must be bad to hold and to roll back; None for never."""

    total: int
    hold: int | None
    rollback: int | None


def errors_needed(rule: Rule, budget: ErrorBudget, sizes: Sequence[int] = SIZES) -> list[ErrorsNeeded]:
    """Compute how many errors it takes, with the code of the guard."""
    test = rule_test(rule)
    log_bar = budget.rollback_log_e
    return [
        ErrorsNeeded(
            total,
            failures_needed(test, total, log_bar=budget.hold_log_e),
            failures_needed(test, total, log_bar=log_bar) if log_bar is not None else None,
        )
        for total in sizes
    ]


def explain(rule: Rule, rules: Sequence[Rule]) -> Iterator[str]:
    """Yield the alert in lines."""
    budget = error_budgets(rules)[rule.name]
    yield f"{rule.name} of {rule.flag}: bad may be {rule.threshold_sentence}, looked at in windows of {_span(rule)}."
    yield f"It is {rule.severity} and {ACTIONS[rule.action]}; it counts {rule.metric.signal}, {rule.compare}."
    if rule.by_account:
        yield from BY_ACCOUNT
    if rule.metric.engine_unknown and rule.may_roll_back:
        control, candidate = rule.names.control, rule.names.candidate
        yield (
            f"It can't tell {candidate} from {control}: it holds, and rolls back only while the counts of both sides "
            f"blame {candidate}."
        )
    if rule.metric.budget_setting:
        yield _budget(rule)
    if rule.tripwire:
        yield "It is a tripwire: the first bad outcome decides, and nobody may override it."
        return
    if budget.rollback:
        yield f"A release at its threshold is rolled back wrongly in at most {budget.rollback:.3%} of all attempts."
    if budget.hold:
        yield f"It is held wrongly in at most {budget.hold:.3%} of them."
    if budget.cohorts:
        yield f"The same is watched in each cohort, with {COHORTS_SHARE:.0%} of this chance for all of them."
    yield from _needed(rule, budget)


def _needed(rule: Rule, budget: ErrorBudget) -> Iterator[str]:
    """Say how many good outcomes an advance takes, and how many bad ones a hold and a rollback."""
    clean = clean_outcomes_needed(rule.threshold, Counts())
    if rule.metric.certifies and clean is not None:
        unit = "users, each counted once an hour that is over," if rule.by_account else "good outcomes,"
        yield f"An advance takes {clean:,} {unit} or more where some are bad."
    yield "How many users with an error does it take?" if rule.by_account else "How many errors does it take?"
    yield f"  {'of':>6} {'to hold':>8} {'to roll back':>13}"
    for needed in errors_needed(rule, budget):
        yield f"  {needed.total:>6,} {_count_text(needed.hold):>8} {_count_text(needed.rollback):>13}"


def _budget(rule: Rule) -> str:
    if rule.credits_budget is None:
        return f"How many credits a step may cost is in the setting {rule.metric.budget_setting}."
    return f"A step may cost {rule.credits_budget:,} credits; a look that finds more is bad."


def _count_text(number: int | None) -> str:
    return "never" if number is None else f"{number:,}"


def _span(rule: Rule) -> str:
    return duration_text(rule.window_seconds)
