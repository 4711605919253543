"""Failures that come in bursts: how large the bursts are, learnt from traffic, and evidence that allows for them.

Outages and deployments make several requests fail at once, of different users. A test that takes failures for
independent sees such a burst as proof. So this module learns the mean size B of a burst from both sides of a migration
while nobody is exposed, and tests against the null that bursts of a mean size up to B arrive at random, with at most
`threshold` failures per outcome in all. Two statistics are mixed, half and half:
    all failures      each weighs less, by B: see `sequential_test.rate_test`; sees a fault that itself comes in bursts
    spaced failures   those close behind a burst's first are left out, and the outcomes with them; what remains of a
                      burst is close to one failure, so a fault whose failures lie apart is seen early
Both are e-processes under that null, so their mean is one. With B = 1 the plain test is all there is and costs nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import ceil, log, sqrt
from typing import Any, NamedTuple

from alerts.analysis.evidence import Counts, Evidence, from_json, restart, to_json
from alerts.analysis.rules import Rule, rule_test
from alerts.analysis.sequential_test import log_sum_exp, step

HORIZON = 15
"""For how many outcomes after its first failure a burst is looked for: longer than 19 in 20 bursts of a mean of 5."""
REMAINDER = 0.03
"""The share of bursts that is longer than what is left out of spaced failures."""
LARGEST = 10.0
STEP = 1.2
"""Sizes are rounded up to powers of this, so that a little more knowledge doesn't begin the evidence anew."""
CERTAIN_DEVIATIONS = 3.0
"""So many standard deviations above chance before failures are taken to come in bursts."""
UPPER_DEVIATIONS = 1.645
"""The size used lies above nineteen in twenty estimates."""


class BurstHistory(NamedTuple):
    """What one side's outcomes have shown of bursts. `left` outcomes of the last burst's horizon are still to come."""

    outside_bad: int = 0
    outside_total: int = 0
    inside_bad: int = 0
    inside_total: int = 0
    left: int = 0

    @property
    def outside(self) -> Counts:
        """The outcomes that lie outside bursts; each bad one begins a burst."""
        return Counts(self.outside_bad, self.outside_total)

    @property
    def counts(self) -> Counts:
        """All outcomes."""
        return Counts(self.outside_bad + self.inside_bad, self.outside_total + self.inside_total)


@dataclass(frozen=True, slots=True)
class Bursts:
    """The state of one alert: both sides' histories, the size in force, and the evidence of spaced failures."""

    candidate: BurstHistory = field(default_factory=BurstHistory)
    control: BurstHistory = field(default_factory=BurstHistory)
    size: float = 1.0
    apart: BurstHistory = field(default_factory=BurstHistory)
    """The candidate's outcomes by the horizon of the size in force."""
    spaced: Evidence = field(default_factory=Evidence)

    def combine(self, evidence: Evidence) -> Evidence:
        """Mix the evidence of all failures with that of the spaced ones."""
        if self.size <= 1:
            return evidence
        log_e = log_sum_exp([evidence.log_e, self.spaced.log_e]) - log(2)
        return evidence._replace(log_e=log_e, peak_log_e=max(log_e, evidence.peak_log_e - log(2)))


def add_outcomes(history: BurstHistory, counts: Counts, horizon: int = HORIZON) -> BurstHistory:
    """Add outcomes whose order is not known.

    Failures are taken to lie evenly; of several in one increment, only the first begins a burst, which errs on the side
    of longer bursts.
    """
    inside_total = min(history.left, counts.total)
    inside_bad = min(counts.bad, inside_total)
    bad, total = counts.bad - inside_bad, counts.total - inside_total
    if not bad:
        return BurstHistory(
            history.outside_bad,
            history.outside_total + total,
            history.inside_bad + inside_bad,
            history.inside_total + inside_total,
            history.left - inside_total,
        )
    first = (total - bad) // (bad + 1) + 1
    after_first = total - first
    return BurstHistory(
        history.outside_bad + 1,
        history.outside_total + first,
        history.inside_bad + inside_bad + bad - 1,
        history.inside_total + inside_total + after_first,
        max(0, horizon - after_first),
    )


def mean_size(history: BurstHistory) -> float:
    """Estimate the mean number of failures in a burst, from above, as a power of STEP; 1 unless it is certainly more.

    Of the failures inside the horizons, as many as lie outside at the same rate are there by chance.
    """
    bursts = history.outside_bad
    if not bursts:
        return 1.0
    by_chance = history.inside_total * history.outside.rate
    extra = history.inside_bad - by_chance
    if extra <= CERTAIN_DEVIATIONS * sqrt(by_chance + 1):
        return 1.0
    size = 1 + extra / bursts
    upper = min(LARGEST, size + UPPER_DEVIATIONS * sqrt(size * (size - 1) / bursts))
    return min(LARGEST, STEP ** ceil(log(upper) / log(STEP)))


def spaced_size(size: float) -> float:
    """Return the mean number of failures that are left of a burst of mean `size` once its horizon is left out."""
    return 1 / (1 - (1 - 1 / size) ** horizon_of(size)) if size > 1 else 1.0


def horizon_of(size: float) -> int:
    """Return how many outcomes after a burst's first failure are left out, where bursts have this mean size."""
    return ceil(log(REMAINDER) / log(1 - 1 / size)) if size > 1 else 0


def learn(bursts: Bursts, threshold: float) -> Bursts:
    """Return `bursts` with the size that both sides' histories speak for, never a smaller one.

    A side that fails more often than `threshold` teaches nothing: a broken release would excuse itself.
    """
    healthy = [each for each in (bursts.candidate, bursts.control) if each.counts.rate <= threshold]
    size = max([bursts.size, *map(mean_size, healthy)])
    return bursts if size == bursts.size else replace(bursts, size=size, spaced=restart(bursts.spaced))


def weigh(
    rule: Rule, evidence: Evidence, bursts: Bursts, counts: Counts, control: Counts, *, at: datetime, learning: bool
) -> tuple[Evidence, Bursts]:
    """Return the evidence after `counts` more outcomes, and what both sides have shown of bursts; `control` are theirs.

    How large bursts are is learnt while nobody is exposed and stays as it is from then on: evidence against a release
    must not change the measure that it is taken by.
    """
    size, apart, spaced = bursts.size, bursts.apart, bursts.spaced
    if size > 1:
        apart = add_outcomes(apart, counts, horizon_of(size))
        outside = apart.outside - bursts.apart.outside
        spaced = step(rule_test(rule, burst_size=spaced_size(size)), spaced, outside, at=at)
    candidate, control_history = add_outcomes(bursts.candidate, counts), add_outcomes(bursts.control, control)
    after = Bursts(candidate, control_history, size, apart, spaced)
    grown = step(rule_test(rule, burst_size=size), evidence, counts, at=at)
    if not learning or rule.tripwire:
        return grown, after
    learnt = learn(after, rule.threshold)
    return (grown if learnt is after else restart(grown)), learnt


def bursts_to_json(bursts: Bursts) -> dict[str, Any]:
    """Return `bursts` as plain JSON values."""
    return {
        "candidate": list(bursts.candidate),
        "control": list(bursts.control),
        "size": bursts.size,
        "apart": list(bursts.apart),
        "spaced": to_json(bursts.spaced),
    }


def bursts_from_json(stored: Mapping[str, Any]) -> Bursts:
    """Return the state that `bursts_to_json` wrote."""
    return Bursts(
        BurstHistory(*stored["candidate"]),
        BurstHistory(*stored["control"]),
        stored["size"],
        BurstHistory(*stored["apart"]),
        from_json(stored["spaced"]),
    )
