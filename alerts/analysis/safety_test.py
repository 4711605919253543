"""Evidence of safety: that a bad rate is *below* its threshold, which an advance needs and silence does not give.

Four answers. The certificate is wrong at most one time in twenty, whenever one looks. The chance is what an owner of a
small service may go by instead: a posterior, good for one look. A step that is worse than what came before undoes
both, and so does one that is likely above the threshold by itself: what was shown in shadow is no evidence for a
release that turned bad since.
"""

from collections.abc import Callable
from math import erfc, exp, lgamma, log, sqrt

from alerts.analysis.sequential_test import HIGHEST_NULL, LIMIT, clipped, log_start, log_sum_exp, rate_test
from control_plane.signal_counts import Counts

SAFE_FACTORS = (0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7)
SAFE_LOG_E = log(20)
WORSE_LOG_E = log(10)
"""The evidence at which a step counts as worse than the attempt before it."""
UPPER_CHANCE = 0.05
ABOVE_CHANCE, ABOVE_BAD = 0.6, 4
"""A step is likely above the threshold from this chance and so many bad outcomes on. At half the threshold that befalls
at most one look in twenty; at twice the threshold one step of 700 outcomes in thirty escapes it."""
CLEAREST = 0.1
"""A rate before the step counts as at least this part of the threshold: few outcomes show no less."""


def log_safe(threshold: float, counts: Counts) -> float:
    """ln E_safe, the evidence that the rate is *below* `threshold`: the same likelihood ratio, turned round.

    Null p >= p0, alternatives SAFE_FACTORS x p0, equal weights. A tripwire (threshold 0) can't be certified: -LIMIT.
    """
    if threshold == 0:
        return -LIMIT
    good = counts.total - counts.bad
    logs = [
        (counts.bad * log(factor) if counts.bad else 0.0) + good * log((1 - factor * threshold) / (1 - threshold))
        for factor in SAFE_FACTORS
        if factor or not counts.bad
    ]
    return clipped(log_sum_exp(logs) - log(len(SAFE_FACTORS)))


def clean_outcomes_needed(threshold: float, counts: Counts) -> int | None:
    """Return the number of further good outcomes that would certify a rate below `threshold`: 0 if certified, None if
    never.
    """
    if threshold == 0:
        return None

    return _fewest(lambda more: log_safe(threshold, Counts(counts.bad, counts.total + more)) >= SAFE_LOG_E)


def chance_above(threshold: float, counts: Counts) -> float:
    """Return the chance that the rate is above `threshold`, given `counts` and nothing else.

    The posterior of a Poisson rate with Jeffreys' prior is Gamma(bad + 1/2, total). Its upper tail begins with erfc and
    grows by one term for each bad outcome. Unlike the certificate it is not made for looking again and again.
    """
    x = threshold * counts.total
    if not x:
        return 1.0
    tail = erfc(sqrt(x))
    for shape in range(counts.bad):
        tail += exp((shape + 0.5) * log(x) - x - lgamma(shape + 1.5))
    return min(1.0, tail)


def outcomes_for_chance(threshold: float, counts: Counts, chance: float) -> int:
    """Return how many further good outcomes bring the chance of being above `threshold` down to `chance`."""
    return _fewest(lambda more: chance_above(threshold, counts + Counts(0, more)) <= chance)


def is_worse(threshold: float, before: Counts, during: Counts) -> bool:
    """Return whether the outcomes of a step show a higher rate than those before it, against a null from above."""
    if not threshold or not before.total:
        return False
    null = min(threshold, max(CLEAREST * threshold, _upper_rate(before)), HIGHEST_NULL)
    # Rounded, so that tests are made for few nulls; a null that is a little higher errs towards "not worse".
    test = rate_test(float(f"{null:.2g}"), window_seconds=1.0)
    return log_start(test, during) >= WORSE_LOG_E


def is_above(threshold: float, during: Counts) -> bool:
    """Return whether the outcomes of a step alone say that it is rather above `threshold` than below."""
    return during.bad >= ABOVE_BAD and chance_above(threshold, during) >= ABOVE_CHANCE


def _upper_rate(counts: Counts) -> float:
    """Return the rate that the true one exceeds with the chance UPPER_CHANCE."""
    low, high = 0.0, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (low, middle) if chance_above(middle, counts) <= UPPER_CHANCE else (middle, high)
    return high


def _fewest(enough: Callable[[int], bool]) -> int:
    """Return the smallest number that is enough, where every larger one is, too."""
    if enough(0):
        return 0
    low, high = 0, 1
    while not enough(high):
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
