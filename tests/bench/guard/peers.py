"""What others do with the same traffic: a rate over a window compared with a threshold, again and again.

Each method takes (bad, total) per run and tick and says at which tick each run rolls back, -1 where it never does.
"""

from collections.abc import Callable, Mapping

import numpy as np

from tests.bench.guard.draws import TICK_SECONDS

Ticks = np.ndarray
Method = Callable[[Ticks, Ticks, float], np.ndarray]

MINUTE = 60 // TICK_SECONDS


def argo(bad: Ticks, total: Ticks, threshold: float) -> np.ndarray:
    """Return a measurement of the last 5 minutes each 5 minutes; the fourth failed one ends the rollout."""
    return _nth(_measured(bad, total, threshold, every=5 * MINUTE) == FAILED, 4, every=5 * MINUTE)


def flagger(bad: Ticks, total: Ticks, threshold: float) -> np.ndarray:
    """Return a check of the last minute each minute; the fifth failed one, or one without data, ends the rollout."""
    return _nth(_measured(bad, total, threshold, every=MINUTE) != PASSED, 5, every=MINUTE)


def rule_at_once(bad: Ticks, total: Ticks, threshold: float) -> np.ndarray:
    """Return a Prometheus rule on the rate of the last 5 minutes, for: 0."""
    return _nth(_rate_above(bad, total, threshold, 5 * MINUTE), 1, every=1)


def rule_for_5m(bad: Ticks, total: Ticks, threshold: float) -> np.ndarray:
    """Alert after `for: 5m`: the rate was above the threshold at every evaluation for five minutes."""
    above = _rate_above(bad, total, threshold, 5 * MINUTE)
    lasting = _rolling(above.astype(np.int32), 5 * MINUTE + 1) == 5 * MINUTE + 1
    return _nth(lasting, 1, every=1)


def burn_rates(bad: Ticks, total: Ticks, threshold: float) -> np.ndarray:
    """14.4 times the budget over 1 h and 5 m, or 6 times over 6 h and 30 m."""

    def burns(factor: float, long_minutes: int, short_minutes: int) -> np.ndarray:
        long = _rate_above(bad, total, factor * threshold, long_minutes * MINUTE)
        both: np.ndarray = long & _rate_above(bad, total, factor * threshold, short_minutes * MINUTE)
        return both

    return _nth(burns(14.4, 60, 5) | burns(6, 360, 30), 1, every=1)


METHODS: Mapping[str, Method] = {
    "Argo Rollouts: 4 failed measurements of 5m": argo,
    "Flagger: 5 failed checks of 1m": flagger,
    "Prometheus rule, for: 0": rule_at_once,
    "Prometheus rule, for: 5m": rule_for_5m,
    "SRE burn rates 14.4x and 6x": burn_rates,
}

PASSED, FAILED, EMPTY = 0, 1, 2


def _measured(bad: Ticks, total: Ticks, threshold: float, *, every: int) -> np.ndarray:
    """PASSED, FAILED or EMPTY per run and measurement over consecutive spans of `every` ticks."""
    spans = bad.shape[1] // every
    shape = (bad.shape[0], spans, every)
    bad_sum = bad[:, : spans * every].reshape(shape).sum(axis=2)
    total_sum = total[:, : spans * every].reshape(shape).sum(axis=2)
    return np.where(total_sum == 0, EMPTY, np.where(bad_sum > threshold * total_sum, FAILED, PASSED))


def _rate_above(bad: Ticks, total: Ticks, threshold: float, span: int) -> np.ndarray:
    return _rolling(bad, span) > threshold * _rolling(total, span)


def _rolling(values: np.ndarray, span: int) -> np.ndarray:
    """Sums over the last `span` ticks, over fewer at the beginning."""
    sums = np.cumsum(values, axis=1, dtype=np.int64)
    sums[:, span:] -= sums[:, :-span].copy()
    return sums


def _nth(failed: np.ndarray, needed: int, *, every: int) -> np.ndarray:
    """Return the tick at which the `needed`th failure is seen, -1 where it never is."""
    reached = np.cumsum(failed, axis=1) >= needed
    return np.where(reached.any(axis=1), (reached.argmax(axis=1) + 1) * every - 1, -1)
