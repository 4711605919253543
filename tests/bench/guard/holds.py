"""How often a healthy phase is held, and for how much of it the gate of the alerts keeps an advance waiting."""

from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np

from alerts.analysis.bursts import Bursts, Increment, weigh
from alerts.analysis.evidence import Evidence
from alerts.analysis.rules import Action, ErrorBudget, Rule, error_budgets
from alerts.analysis.verdicts import Verdict, judge
from alerts.gates import ALARMING, is_alarming
from tests.bench.guard import tables
from tests.bench.guard.alarms import PHASE_DAYS, SHIPPED_PER_MINUTE
from tests.bench.guard.draws import Traffic, increments
from tests.bench.guard.ours import EXPOSED, START
from tests.bench.guard.report import SHIPPED, Goal, Section, seldom
from tests.bench.guard.sampling import Sampler

HELD_AT_MOST = 0.1
"""At the threshold, all alerts together."""
CLOSED_AT_MOST = 0.05
"""At half the threshold, of the time."""
MINUTES = int(PHASE_DAYS * 1440)


@dataclass(frozen=True, slots=True)
class Phase:
    """The outcome of one phase."""

    held: bool
    closed: float
    """The share of its time in which the gate was closed."""


def section(sampler: Sampler) -> Section:
    """Print wrong holds and closed gates of the shipped alerts together."""
    cells = {factor: sampler.each(phase, factor) for factor in (0.5, 1.0)}
    rows, goals = [], []
    for factor, phases in cells.items():
        held = sum(each.held for each in phases)
        closed = sum(each.closed for each in phases) / len(phases)
        rows.append([f"{factor:g}x", tables.share(held, sampler.runs), f"{closed:.2%}"])
        if factor == 1:
            goals.append(seldom("phases held falsely, all alerts, true rates at 1x", HELD_AT_MOST, held, sampler.runs))
        else:
            name = "of the time the gate of the alerts is closed, true rates at 0.5x"
            goals.append(Goal(name, f"<= {CLOSED_AT_MOST:.0%}", f"{closed:.2%}", closed <= CLOSED_AT_MOST))
    head = ["true rates, in thresholds", "phases held, or rolled back, falsely", "of the time the gate is closed"]
    text = (
        f"All alerts of `alerts.yaml` that may hold, for {PHASE_DAYS:g} days, {SHIPPED_PER_MINUTE:g} outcomes a minute "
        "each, looked at after each. The gate counts as closed for the whole window of an alert that closed it at any "
        "look, so the share is from above."
    )
    return Section("Wrong holds and closed gates", f"{text}\n\n{tables.table(head, rows)}", tuple(goals))


def phase(rng: np.random.Generator, factor: float) -> Phase:
    """Return what all alerts together make of a phase whose rates are `factor` times their thresholds."""
    closed, held = np.zeros(MINUTES, dtype=bool), False
    budgets = error_budgets(SHIPPED)
    for rule in SHIPPED:
        if rule.action is not Action.NOTIFY:
            held |= _watch(rng, rule, budgets[rule.name], factor, closed)
    return Phase(held, float(closed.mean()))


def _watch(rng: np.random.Generator, rule: Rule, budget: ErrorBudget, factor: float, closed: np.ndarray) -> bool:
    """Judge one alert, mark the minutes in which it closes the gate, and return whether it held."""
    # Of the alert alone: one that can't tell the engines apart would hold until others blame v2.
    rule = replace(rule, metric=replace(rule.metric, engine_unknown=False))
    evidence, bursts, held, since = Evidence(), Bursts(), False, -1
    verdict: Verdict | None = None
    traffic = Traffic(SHIPPED_PER_MINUTE, factor * rule.threshold, MINUTES * 60)
    minutes = rule.window_seconds / 60
    for window, counts in increments(rng, traffic, rule.window_seconds):
        if since >= 0:  # windows without traffic are as closed as the one before
            closed[int(since * minutes) : int(window * minutes)] = True
        at = START + timedelta(minutes=window * minutes)
        evidence, bursts = weigh(rule, evidence, bursts, Increment(counts), at=at, learning=False)
        verdict = judge(rule, evidence, EXPOSED, budget=budget, previous=verdict, now=at)
        alarming = is_alarming(verdict)
        since = window if alarming else -1
        if alarming:
            closed[int(window * minutes) : int((window + 1) * minutes)] = True
            held |= verdict.status in ALARMING
    return held
