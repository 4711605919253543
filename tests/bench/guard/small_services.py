"""Small services: when the evidence of safety comes at 40 and at 10 operations a day, and whether it can be stale."""

from datetime import UTC, datetime

import numpy as np

from alerts.analysis.safety_evidence import safety_evidence
from alerts.analysis.safety_test import clean_outcomes_needed, outcomes_for_chance
from alerts.definitions import parser
from control_plane.signal_counts import Counts
from tests.bench.guard import tables
from tests.bench.guard.report import Goal, Section, seldom
from tests.bench.guard.sampling import Sampler

ALERTS = parser.parse(
    "alerts: {credit_consumption_failure: {threshold: 1%, window: 5m, severity: critical}, "
    "credit_variance: {threshold: 0.1%, window: 5m, severity: critical}}"
)
RISKS = (0.05, 0.1, 0.2)
NOW = datetime(2026, 3, 1, tzinfo=UTC)
BEFORE_DAYS, STEP_DAYS = 14, 1.75
STEP_PER_DAY = 400


def section(sampler: Sampler) -> Section:
    """Print the days until each kind of evidence, and how often a step that turned bad could be left."""
    rows = []
    for rule in ALERTS:
        needed = clean_outcomes_needed(rule.threshold, Counts())
        assert needed is not None
        outcomes = [needed, *(outcomes_for_chance(rule.threshold, Counts(), risk) for risk in RISKS)]
        rows += [
            [rule.name, f"{per_day}", *(f"{count:,} = {count / per_day:,.0f} d" for count in outcomes)]
            for per_day in (40, 10)
        ]
    head = ["alert", "operations a day", "certificate", *(f"a chance of {risk:.0%}" for risk in RISKS)]
    stale, goals = _turned_bad(sampler)
    text = "Good outcomes, and days, until a step may be left without an approval, where nothing fails:"
    return Section("Small services", f"{text}\n\n{tables.table(head, rows)}\n{stale}", tuple(goals))


def _turned_bad(sampler: Sampler) -> tuple[str, list[Goal]]:
    rows, goals = [], []
    for before, during in ((0.1, 2.0), (0.1, 5.0), (0.5, 2.0), (0.1, 0.1), (0.5, 0.5)):
        open_gates = sum(sampler.each(may_be_left, before, during))
        rows.append([f"{before:g}x", f"{during:g}x", tables.share(open_gates, sampler.runs)])
        if during > 1:
            goals.append(seldom(f"a step at {during:g}x left after {before:g}x", 0.05, open_gates, sampler.runs))
        else:
            name = f"a step at {during:g}x that may be left"
            met = open_gates >= 0.9 * sampler.runs
            goals.append(Goal(name, ">= 90%", tables.share(open_gates, sampler.runs), met))
    text = (
        f"After {BEFORE_DAYS} days at the first rate, {STEP_PER_DAY} operations a day, a step of {STEP_DAYS * 24:g} "
        "hours at the second; the share of steps that the gate then lets go on, threshold 1%:"
    )
    return f"{text}\n\n{tables.table(['before', 'in the step', 'may be left'], rows)}", goals


def may_be_left(rng: np.random.Generator, before: float, during: float) -> bool:
    """Return whether the gate is open at the end of the step."""
    rule = ALERTS[0]
    counts = [
        Counts(int(rng.binomial(total, factor * rule.threshold)), total)
        for total, factor in ((BEFORE_DAYS * STEP_PER_DAY, before), (int(STEP_DAYS * STEP_PER_DAY), during))
    ]
    return safety_evidence(rule, *counts, seconds=STEP_DAYS * 86_400, risk=None, now=NOW).is_sufficient
