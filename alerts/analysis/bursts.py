"""Failures that come in bursts: how large the bursts are, learnt from traffic, and evidence that allows for them.

Outages and deployments make several requests fail at once, of different users. A test that takes failures for
independent sees such a burst as proof. So this module learns the mean size B of a burst from both sides of a migration
while nobody is exposed, and tests against the null that bursts of a mean size up to B arrive at random, with at most
`threshold` failures per outcome in all. Two statistics are mixed, half and half:
    all failures      each weighs less, by B: see `sequential_test.rate_test`; sees a fault that itself comes in bursts
    spaced failures   those close behind a burst's first are left out, and the outcomes with them; what remains of a
                      burst is close to one failure, so a fault whose failures lie apart is seen early
How close is learnt as well. Where a burst fails all outcomes while it lasts, one good outcome ends it, and what is left
out is short. Where it has gaps, a fixed horizon is left out.
Both are e-processes under that null, so their mean is one. With B = 1 the plain test is all there is and costs nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import ceil, log, sqrt
from typing import Any, NamedTuple

from alerts.analysis.evidence import Evidence, from_json, restart, to_json
from alerts.analysis.rules import Rule, rule_test
from alerts.analysis.sequential_test import log_sum_exp, step
from control_plane.signal_counts import Counts

HORIZON = 15
"""For how many outcomes after its first failure a burst is looked for: longer than 19 in 20 bursts of a mean of 5."""
ENDLESS = 10**9
REACH = 1
"""So many good outcomes in a row end a run of failures: with two, a fault of 20x is found a quarter later."""
RUNS_SIZES = (1.02, 1.05, 1.1, 1.2, 1.5)
"""How many runs may come from one burst, from above, where runs are told apart; more, and the horizon is left out."""
REMAINDER = 0.03
"""The share of bursts that is longer than what is left out of spaced failures."""
STORED_FIELDS = 5
"""So many figures of a history stand together in what is stored; what it has besides stands apart."""
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
    quiet: int = 0
    """Good outcomes since the last failure of a burst that may go on."""

    @property
    def outside(self) -> Counts:
        """The outcomes that lie outside bursts; each bad one begins a burst."""
        return Counts(self.outside_bad, self.outside_total)

    @property
    def counts(self) -> Counts:
        """All outcomes."""
        return Counts(self.outside_bad + self.inside_bad, self.outside_total + self.inside_total)


class RunHistory(NamedTuple):
    """Failures of one side by runs, a run being a burst's part without gaps, and the bursts that runs come in."""

    runs: BurstHistory = BurstHistory()
    begins: BurstHistory = BurstHistory()
    good: int = 0
    """Good outcomes since, outside of both."""

    def add(self, counts: Counts) -> "RunHistory":
        """Add outcomes."""
        if not counts.bad and not self.runs.left and not self.begins.left:
            return RunHistory(self.runs, self.begins, self.good + counts.total)
        good = Counts(0, self.good)
        before, begins = add_outcomes(self.runs, good, reach=REACH), add_outcomes(self.begins, good)
        runs = add_outcomes(before, counts, reach=REACH)
        return RunHistory(runs, add_outcomes(begins, runs.outside - before.outside))


NO_RUNS = RunHistory()


@dataclass(frozen=True, slots=True)
class Bursts:
    """The state of one alert: both sides' histories, the size in force, and the evidence of spaced failures."""

    candidate: BurstHistory = field(default_factory=BurstHistory)
    control: BurstHistory = field(default_factory=BurstHistory)
    size: float = 1.0
    apart: BurstHistory = field(default_factory=BurstHistory)
    """The candidate's outcomes by the horizon of the size in force."""
    spaced: Evidence = field(default_factory=Evidence)
    candidate_runs: RunHistory = field(default_factory=RunHistory)
    control_runs: RunHistory = field(default_factory=RunHistory)
    runs_size: float = 0.0
    """How many runs come from one burst; 0 where that is not known, so that the horizon is left out instead."""

    def combine(self, evidence: Evidence) -> Evidence:
        """Mix the evidence of all failures with that of the spaced ones."""
        if self.size <= 1:
            return evidence
        log_e = log_sum_exp([evidence.log_e, self.spaced.log_e]) - log(2)
        return evidence._replace(log_e=log_e, peak_log_e=max(log_e, evidence.peak_log_e - log(2)))


def add_outcomes(history: BurstHistory, counts: Counts, horizon: int = HORIZON, reach: int = ENDLESS) -> BurstHistory:
    """Add outcomes whose order is not known. A burst ends after `horizon` outcomes, or `reach` good ones in a row.

    Failures are taken to lie evenly; of several in one increment, only the first begins a burst, which errs on the side
    of longer bursts.
    """
    ends_after = history.left if counts.bad else min(history.left, max(0, reach - history.quiet))
    inside_total = min(ends_after, counts.total)
    inside_bad = min(counts.bad, inside_total)
    bad, total = counts.bad - inside_bad, counts.total - inside_total
    if not bad:
        return BurstHistory(
            history.outside_bad,
            history.outside_total + total,
            history.inside_bad + inside_bad,
            history.inside_total + inside_total,
            history.left - inside_total if inside_total < ends_after or counts.bad else 0,
            0 if inside_bad else history.quiet + inside_total,
        )
    # The good outcomes lie evenly before, between and after the failures: so many come before the first of them.
    first = (total - bad) // (bad + 1) + 1
    after_first = total - first
    return BurstHistory(
        history.outside_bad + 1,
        history.outside_total + first,
        history.inside_bad + inside_bad + bad - 1,
        history.inside_total + inside_total + after_first,
        max(0, horizon - after_first),
    )


def mean_size(*histories: BurstHistory) -> float:
    """Estimate the mean number of failures in a burst, from above, as a power of STEP; 1 unless it is certainly more.

    Of the failures inside the horizons of a side, as many as lie outside at the same rate are there by chance.
    """
    bursts = sum(each.outside_bad for each in histories)
    if not bursts:
        return 1.0
    by_chance = sum(each.inside_total * each.outside.rate for each in histories)
    extra = sum(each.inside_bad for each in histories) - by_chance
    if extra <= CERTAIN_DEVIATIONS * sqrt(by_chance + 1):
        return 1.0
    size = 1 + extra / bursts
    upper = min(LARGEST, size + UPPER_DEVIATIONS * sqrt(size * (size - 1) / bursts))
    return min(LARGEST, STEP ** ceil(log(upper) / log(STEP)))


def mean_runs(*histories: RunHistory) -> float:
    """Return how many runs come from one burst, from above; 0 where that is too many, or unknown."""
    begins = [each.begins for each in histories]
    bursts = sum(each.outside_bad for each in begins)
    if not bursts:
        return 0.0
    inside = sum(each.inside_bad for each in begins)
    by_chance = sum(
        each.begins.inside_total * each.begins.outside_bad / max(1, each.begins.outside_total + each.good)
        for each in histories
    )
    # The Poisson mean that is exceeded once in twenty; of none seen it is 3.
    upper = 1 + max(0.0, inside + 1.35 + UPPER_DEVIATIONS * sqrt(inside + 1) - by_chance) / bursts
    return next((size for size in RUNS_SIZES if size >= upper), 0.0)


def spaced_size(size: float) -> float:
    """Return the mean number of failures that are left of a burst of mean `size` once its horizon is left out."""
    return 1 / (1 - (1 - 1 / size) ** horizon_of(size)) if size > 1 else 1.0


def horizon_of(size: float) -> int:
    """Return how many outcomes after a burst's first failure are left out, where bursts have this mean size."""
    return ceil(log(REMAINDER) / log(1 - 1 / size)) if size > 1 else 0


def learn(bursts: Bursts, threshold: float) -> Bursts:
    """Return `bursts` with the size that either side's history speaks for, or both together, never a smaller one.

    Few failures show little, so those of both sides are put together as well. A side that fails more often than
    `threshold` teaches nothing: a broken release would excuse itself.
    """
    healthy = [each for each in (bursts.candidate, bursts.control) if each.counts.rate <= threshold]
    size = max([bursts.size, *map(mean_size, healthy), mean_size(*healthy)])
    runs_size = _runs_size(bursts, threshold) if size > 1 else 0.0
    if (size, runs_size) == (bursts.size, bursts.runs_size):
        return bursts
    return replace(bursts, size=size, runs_size=runs_size, apart=BurstHistory(), spaced=restart(bursts.spaced))


def _runs_size(bursts: Bursts, threshold: float) -> float:
    sides = ((bursts.candidate, bursts.candidate_runs), (bursts.control, bursts.control_runs))
    return mean_runs(*(runs for history, runs in sides if history.counts.rate <= threshold))


@dataclass(frozen=True, slots=True)
class Increment:
    """What was counted since the last look, of the candidate and of the control.

    Of a rule per account, `operations` are those behind the candidate's: a burst shows in the order of operations, and
    at most as many accounts as operations fail in it.
    """

    candidate: Counts
    control: Counts = field(default_factory=Counts)
    operations: Counts | None = None


def weigh(
    rule: Rule, evidence: Evidence, bursts: Bursts, increment: Increment, *, at: datetime, learning: bool
) -> tuple[Evidence, Bursts]:
    """Return the evidence after more outcomes, and what both sides have shown of bursts.

    How large bursts are is learnt while nobody is exposed and stays as it is from then on: evidence against a release
    must not change the measure that it is taken by.
    """
    counts, control = increment.candidate, increment.control
    size, apart, spaced = bursts.size, bursts.apart, bursts.spaced
    if size > 1 and not rule.by_account:
        reach, left_of_each = (REACH, bursts.runs_size) if bursts.runs_size else (ENDLESS, spaced_size(size))
        apart = add_outcomes(apart, counts, horizon_of(size), reach)
        outside = apart.outside - bursts.apart.outside
        spaced = step(rule_test(rule, burst_size=left_of_each), spaced, outside, at=at)
    own = counts if increment.operations is None else increment.operations
    candidate, control_history = add_outcomes(bursts.candidate, own), add_outcomes(bursts.control, control)
    candidate_runs, control_runs = bursts.candidate_runs, bursts.control_runs
    learns = learning and not rule.tripwire
    if learns:
        candidate_runs, control_runs = candidate_runs.add(own), control_runs.add(control)
    after = Bursts(candidate, control_history, size, apart, spaced, candidate_runs, control_runs, bursts.runs_size)
    grown = step(rule_test(rule, burst_size=size), evidence, counts, at=at)
    if not learns or (rule.by_account and grown.counts.rate > rule.threshold):
        return grown, after
    learnt = learn(after, rule.threshold)
    still_good = grown.window_total - grown.window_bad if rule.by_account else 0
    return (grown if learnt.size == size else restart(grown, still_good)), learnt


def bursts_to_json(bursts: Bursts) -> dict[str, object]:
    """Return `bursts` as plain JSON values, each history as long as a worker of the version before reads it."""
    histories = bursts.candidate, bursts.control, bursts.apart
    candidate, control, apart = (list(each[:STORED_FIELDS]) for each in histories)
    return {
        "candidate": candidate,
        "control": control,
        "size": bursts.size,
        "apart": apart,
        "quiet": [each.quiet for each in histories],
        "spaced": to_json(bursts.spaced),
        "candidate_runs": _runs_to_json(bursts.candidate_runs),
        "control_runs": _runs_to_json(bursts.control_runs),
        "runs_size": bursts.runs_size,
    }


def bursts_from_json(stored: Mapping[str, Any]) -> Bursts:
    """Return the state that `bursts_to_json` wrote."""
    histories = stored["candidate"], stored["control"], stored["apart"]
    quiet = stored.get("quiet", (0, 0, 0))  # an earlier release stored none of this, nor of runs
    candidate, control, apart = (
        BurstHistory(*each[:STORED_FIELDS])._replace(quiet=good) for each, good in zip(histories, quiet, strict=True)
    )
    return Bursts(
        candidate,
        control,
        stored["size"],
        apart,
        from_json(stored["spaced"]),
        _runs_from_json(stored.get("candidate_runs", ())),
        _runs_from_json(stored.get("control_runs", ())),
        stored.get("runs_size", 0.0),
    )


def _runs_to_json(history: RunHistory) -> list[int]:
    return [history.good, *history.runs, *history.begins] if history != NO_RUNS else []


def _runs_from_json(stored: Sequence[int]) -> RunHistory:
    if not stored:
        return RunHistory()
    good, *rest = stored
    half = len(rest) // 2
    return RunHistory(BurstHistory(*rest[:half]), BurstHistory(*rest[half:]), good)
