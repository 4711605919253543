"""Sequential evidence that a bad rate is above its threshold, valid at every look.

Counters go in, evidence comes out: `step` is a pure function, `Evidence` is small and immutable and survives a restart.

Notation. S bad outcomes of N; null p0 is the threshold; alternatives p_k lie above it; W is the window. With
    l_k(S, N) = S ln(p_k / p0) + (N - S) ln((1 - p_k) / (1 - p0))         the log likelihood ratio (Wald 1945)
and weights w_k that add up to 1, two e-processes are mixed:
    E_start = sum_k w_k exp l_k(S, N)          counts since the start: quickest where the release is bad at once
    E_sr    = sum_k w_k M_k / K                Shiryaev-Roberts (arXiv 2203.03532): forgets a healthy past for ln K
              M_k <- M_k + 1 as a window opens, M_k <- M_k exp l_k(dS, dN) with each increment
    E       = s E_start + (1 - s) E_sr         s = 0.6; 0.95 for mismatches, whose healthy past is clean
While the conditional bad rate never exceeds p0, every factor has mean at most 1, whatever the traffic, the ticks or
who looks when (arXiv 2210.01948), so by Ville's inequality P(E ever reaches 1/alpha) <= alpha in a budget of K windows.

Windows without traffic never open. Whether one opens depends on arrivals, never on their outcomes, so each open window
still adds exactly 1 to the mean of M_k, at most K times per budget. A quiet night costs no alpha; skipping it is O(1).

A used-up budget is renewed in place. M_k goes on, for it holds what a running fault has shown; the count since the
start begins again unless it speaks against the release. Each budget thus adds at most s (start) + 1 - s (windows) to
the mean of E: after c budgets P(E ever reached 1/alpha) <= c alpha, which is what c separate attempts would give.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from math import ceil, exp, log, log1p, sqrt
from operator import mul

from alerts.analysis.evidence import Evidence
from control_plane.signal_counts import Counts

DESIGN = 2
"""Grows when stored evidence stops being comparable with what this module computes."""

ATTEMPT_SECONDS = 28 * 24 * 3600
"""The planned length of an attempt, the four weeks of the guide; a budget is this long in windows."""

RATE_FACTORS = {
    1.05: 0.06,
    1.1: 0.06,
    1.2: 0.08,
    1.5: 0.12,
    2.0: 0.16,
    3.0: 0.12,
    5.0: 0.1,
    10.0: 0.1,
    20.0: 0.1,
    50.0: 0.1,
}
"""Alternatives as multiples of the threshold, with their weights: most where a fault is worth the search."""
MISMATCH_FACTORS = {1.2: 0.05, 2.0: 0.05, 5.0: 0.1, 10.0: 0.35, 20.0: 0.35, 50.0: 0.05, 100.0: 0.05}
"""A defect in charging is rarely a little above a mismatch rate that is close to nothing."""
HIGHEST_ALTERNATIVE = 0.95
HIGHEST_NULL = 0.5
DISCORDANT_ALTERNATIVES = dict.fromkeys((0.6, 0.7, 0.8, 0.9, 0.97), 0.2)
START_SHARE = 0.6
MISMATCH_START_SHARE = 0.95
LIMIT = 700.0
"""Evidence is kept within e^+-LIMIT, where exp does not overflow; far beyond any alpha, so no verdict can tell."""
CEILING, FLOOR = exp(LIMIT), exp(-LIMIT)


@dataclass(frozen=True, slots=True)
class SequentialTest:
    """A test: its null rate, the gain and stake of each alternative, and the window."""

    null: float
    gains: tuple[tuple[float, float], ...]
    """(ln p_k/p0, ln (1-p_k)/(1-p0)) per alternative; empty for a tripwire, whose first bad outcome decides."""
    start_stakes: tuple[float, ...]
    """s w_k, what is staked on the counts since the start."""
    window_stakes: tuple[float, ...]
    """(1 - s) w_k / K, what is staked as each window opens."""
    start_share: float
    window_seconds: float
    budget: int
    """K, the windows of one planned attempt."""
    is_revisable: bool = False
    """An outcome that was counted as good may turn bad within its window, and then adds to `bad` alone."""


@lru_cache(maxsize=256)
def rate_test(threshold: float, *, window_seconds: float, burst_size: float = 1.0) -> SequentialTest:
    """Build the test of a bad rate above `threshold` (0 to 0.5; 0 makes a tripwire).

    With a `burst_size` B above 1 the null is that bursts of a geometric size of mean at most B arrive at random, with
    at most `threshold` failures per outcome. For a tilt z > 1 their cost per outcome is at most
        threshold (z - 1) / (1 - (B - 1)(z - 1)),
    the logarithm of the mean of z^failures, largest where the mean is B; z is best for the alternative's rate.
    """
    return _multiples(threshold, RATE_FACTORS, START_SHARE, window_seconds, burst_size)


@lru_cache(maxsize=256)
def revisable(test: SequentialTest) -> SequentialTest:
    """Return `test` for outcomes that may turn bad later, within the window in which they were counted as good.

    A factor is at least what it is while its outcome still counts as good, so at any look the product is at most that
    of the final outcomes, whose mean is at most 1: stopping early can't gain (docs/adr/bursts-and-accounts.md). That
    holds for what is counted from the opening of a window on, so none may open between an outcome and its turn.
    """
    return replace(test, is_revisable=True)


@lru_cache(maxsize=256)
def mismatch_test(threshold: float, *, window_seconds: float, burst_size: float = 1.0) -> SequentialTest:
    """Build the test for pairs that differ, tuned to defects far above a small threshold."""
    return _multiples(threshold, MISMATCH_FACTORS, MISMATCH_START_SHARE, window_seconds, burst_size)


@lru_cache(maxsize=256)
def discordant_test(*, window_seconds: float) -> SequentialTest:
    """Return the bet that, of the pairs in which just one engine failed, the candidate is the one in more than half."""
    gains = [_gain(0.5, each) for each in DISCORDANT_ALTERNATIVES]
    return _test(0.5, gains, DISCORDANT_ALTERNATIVES.values(), START_SHARE, window_seconds)


def step(test: SequentialTest, evidence: Evidence, counts: Counts, *, at: datetime) -> Evidence:
    """Return the evidence after `counts` more outcomes, seen at `at`; the same evidence when there were none.

    A clock that jumps, either way, at worst opens one window more. Raises ValueError unless 0 <= bad <= total.
    """
    if not 0 <= counts.bad <= counts.total and not (test.is_revisable and counts.bad >= 0 and counts.total >= 0):
        raise ValueError(f"Counts must satisfy 0 <= bad <= total, got bad={counts.bad}, total={counts.total}.")
    if not counts.total and not counts.bad:
        return evidence
    window = int(at.timestamp() // test.window_seconds)
    before = evidence if window == evidence.window else _open_window(test, evidence, window)
    # What turned bad in a window was counted in it; where it was not, it is counted now.
    came = max(counts.total, before.window_bad + counts.bad - before.window_total)
    bad, total = before.bad + counts.bad, before.total + came
    window_bad, window_total = before.window_bad + counts.bad, before.window_total + came
    log_e = _log_e(test, before.carried, (bad - before.base_bad, total - before.base_total), (window_bad, window_total))
    return Evidence(
        bad,
        total,
        before.base_bad,
        before.base_total,
        window,
        window_bad,
        window_total,
        before.windows_used,
        before.renewals,
        before.carried,
        log_e,
        log_e if log_e > before.peak_log_e else before.peak_log_e,
    )


def log_start(test: SequentialTest, counts: Counts) -> float:
    """ln E_start of `counts` alone: what this many outcomes would show if nothing had come before."""
    if not test.gains:
        return LIMIT if counts.bad else 0.0
    return _log(sum(_grown(test.start_stakes, test.gains, counts.bad, counts.total)) / test.start_share)


def failures_needed(test: SequentialTest, total: int, *, log_bar: float) -> int | None:
    """Return the fewest bad outcomes among the first `total` that reach `log_bar`.

    None where even all of them do not.
    """
    return next((bad for bad in range(total + 1) if first_window_log_e(test, Counts(bad, total)) >= log_bar), None)


def first_window_log_e(test: SequentialTest, counts: Counts) -> float:
    """ln E when `counts` is all there ever was, inside one window."""
    outcomes = (counts.bad, counts.total)
    return _log_e(test, test.window_stakes, outcomes, outcomes)


def _multiples(
    threshold: float, factors: Mapping[float, float], start_share: float, window_seconds: float, burst_size: float
) -> SequentialTest:
    if not 0 <= threshold <= HIGHEST_NULL:
        raise ValueError(f"A rate threshold lies between 0 and {HIGHEST_NULL}, not at {threshold}.")
    alternatives = [min(factor * threshold, HIGHEST_ALTERNATIVE) for factor in factors if threshold]
    gains = [
        _gain(threshold, each) if burst_size <= 1 else _burst_gain(threshold, each, burst_size) for each in alternatives
    ]
    return _test(threshold, gains, factors.values() if threshold else (), start_share, window_seconds)


def _gain(null: float, alternative: float) -> tuple[float, float]:
    """Return the log likelihood ratio of a bad outcome and of a good one, both independent of all others."""
    return log(alternative / null), log((1 - alternative) / (1 - null))


def _burst_gain(null: float, alternative: float, burst_size: float) -> tuple[float, float]:
    """Return the gain where failures come in bursts: the logarithm of the tilt, less its cost per outcome.

    The best tilt 1 + u for k times the rate solves k (1 - b u)^2 = 1 + u, with b = burst_size - 1.
    """
    k, b = alternative / null, burst_size - 1
    linear = 2 * k * b + 1
    u = (linear - sqrt(linear**2 - 4 * k * b**2 * (k - 1))) / (2 * k * b**2)
    cost = null * u / (1 - b * u)
    return log1p(u) - cost, -cost


def _test(
    null: float,
    gains: Iterable[tuple[float, float]],
    weights: Iterable[float],
    start_share: float,
    window_seconds: float,
) -> SequentialTest:
    weights, budget = list(weights), max(1, ceil(ATTEMPT_SECONDS / window_seconds))
    return SequentialTest(
        null=null,
        gains=tuple(gains),
        start_stakes=tuple(start_share * weight for weight in weights),
        window_stakes=tuple((1 - start_share) * weight / budget for weight in weights),
        start_share=start_share,
        window_seconds=window_seconds,
        budget=budget,
    )


def _open_window(test: SequentialTest, evidence: Evidence, window: int) -> Evidence:
    """Return the evidence as a new window opens: what the last one showed is carried, and one more stake is set."""
    carried = test.window_stakes
    if evidence.carried:
        grown = _grown(evidence.carried, test.gains, evidence.window_bad, evidence.window_total)
        carried = tuple([min(CEILING, each + stake) for each, stake in zip(grown, test.window_stakes, strict=True)])
    windows_used, renewals, base_bad, base_total = _budget(test, evidence)
    return Evidence(
        evidence.bad,
        evidence.total,
        base_bad,
        base_total,
        window,
        0,
        0,
        windows_used,
        renewals,
        carried,
        evidence.log_e,
        evidence.peak_log_e,
    )


def _budget(test: SequentialTest, evidence: Evidence) -> tuple[int, int, int, int]:
    """Return (windows used, renewals, base bad, base total) with one more window open; a used-up budget is renewed."""
    if evidence.windows_used < test.budget:
        return evidence.windows_used + 1, evidence.renewals, evidence.base_bad, evidence.base_total
    speaks = log_start(test, Counts(evidence.bad - evidence.base_bad, evidence.total - evidence.base_total)) > 0
    base = (evidence.base_bad, evidence.base_total) if speaks else (evidence.bad, evidence.total)
    return 1, evidence.renewals + 1, *base


def _log_e(test: SequentialTest, carried: tuple[float, ...], start: tuple[int, int], window: tuple[int, int]) -> float:
    """ln E from (bad, total) since the start and in the open window."""
    if not test.gains:
        return LIMIT if start[0] else 0.0
    return _log(sum(_grown(test.start_stakes, test.gains, *start)) + sum(_grown(carried, test.gains, *window)))


def _grown(stakes: tuple[float, ...], gains: tuple[tuple[float, float], ...], bad: int, total: int) -> list[float]:
    """Multiply each stake by its gain for `bad` among `total` outcomes."""
    good = total - bad
    logs = [bad * on_bad + good * on_good for on_bad, on_good in gains]
    if max(logs) > LIMIT:
        logs = [min(LIMIT, each) for each in logs]
    return list(map(mul, stakes, map(exp, logs)))


def _log(value: float) -> float:
    return log(value) if FLOOR < value < CEILING else log(min(CEILING, max(FLOOR, value)))


def log_sum_exp(logs: list[float]) -> float:
    top = max(logs)
    return top + log(sum([exp(log_value - top) for log_value in logs]))


def clipped(log_value: float) -> float:
    return max(-LIMIT, min(LIMIT, log_value))
