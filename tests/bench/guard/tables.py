"""Figures with their sampling error, as Markdown."""

from collections.abc import Iterable, Sequence
from math import ceil, inf

from scipy.stats import binom, binomtest

CONFIDENCE = 0.95


def share(happened: int, runs: int) -> str:
    """Return a probability with its exact (Clopper-Pearson) interval."""
    return f"{_percent(happened / runs)} [{_percent(lower(happened, runs))}, {_percent(upper(happened, runs))}]"


def lower(happened: int, runs: int) -> float:
    """Return the lower end of the interval of `happened` in `runs`."""
    return float(binomtest(happened, runs).proportion_ci(CONFIDENCE).low)


def upper(happened: int, runs: int) -> float:
    """Return the upper end of the interval of `happened` in `runs`."""
    return float(binomtest(happened, runs).proportion_ci(CONFIDENCE).high)


def median_and_p90(values: Sequence[float]) -> str:
    """Median with its order-statistics interval, and the ninetieth percentile."""
    if not values:
        return "all rolled back before"
    ordered = sorted(values)
    if quantile(ordered, 0.5) == inf:
        return "never"
    low, high = (int(binom.ppf(tail, len(ordered), 0.5)) for tail in ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
    bounds = f"[{_count(ordered[low])}, {_count(ordered[min(high, len(ordered) - 1)])}]"
    return f"{_count(quantile(ordered, 0.5))} {bounds} / {_count(quantile(ordered, 0.9))}"


def quantile(values: Sequence[float], level: float) -> float:
    """Return the smallest value that at least `level` of all do not exceed."""
    return sorted(values)[max(0, ceil(len(values) * level) - 1)]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _percent(ratio: float) -> str:
    return f"{ratio * 100:.3g}%"


def _count(value: float) -> str:
    return "never" if value == inf else f"{value:,.0f}"
