"""Evidence of safety: that a bad rate is *below* its threshold, which an advance needs and silence does not give."""

from math import log

from alerts.analysis.evidence import Counts
from alerts.analysis.sequential_test import LIMIT, clipped, log_sum_exp

SAFE_FACTORS = (0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7)
SAFE_LOG_E = log(20)


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

    def certified(more: int) -> bool:
        return log_safe(threshold, Counts(counts.bad, counts.total + more)) >= SAFE_LOG_E

    if certified(0):
        return 0
    low, high = 0, 1
    while not certified(high):
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if certified(middle) else (middle, high)
    return high
