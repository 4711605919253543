"""Random traffic: Poisson arrivals, independent outcomes, cut where the guard looks.

A guard that looks after every request sees its highest evidence right after a bad one, since good ones only lower it.
So a stream is cut after each bad outcome and at each window's end: every look that matters, at a fraction of the cost.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from control_plane.signal_counts import Counts

DAY_SECONDS = 86_400
TICK_SECONDS = 15


@dataclass(frozen=True, slots=True)
class Traffic:
    """Requests per minute, the share that goes wrong, and for how long."""

    per_minute: float
    bad_rate: float
    seconds: float


def increments(rng: np.random.Generator, traffic: Traffic, window_seconds: float) -> Iterator[tuple[int, Counts]]:
    """Yield (window, counts) in order; each ends in a bad outcome or at the end of its window."""
    windows = int(traffic.seconds / window_seconds)
    ends = np.cumsum(rng.poisson(traffic.per_minute * window_seconds / 60, windows))
    bad = _bad_positions(rng, traffic.bad_rate, int(ends[-1]))
    splits = np.searchsorted(bad, ends)
    positions, position, first = bad.tolist(), 0, 0
    for window, (end, last) in enumerate(zip(ends.tolist(), splits.tolist(), strict=True)):
        for index in positions[first:last]:
            yield window, Counts(1, index + 1 - position)
            position = index + 1
        if end > position:
            yield window, Counts(0, end - position)
        position, first = end, last


def ticks(rng: np.random.Generator, traffic: Traffic, runs: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (bad, total) per run and tick of TICK_SECONDS, for methods that look at a clock's pace."""
    shape = (runs, int(traffic.seconds / TICK_SECONDS))
    total = rng.poisson(traffic.per_minute * TICK_SECONDS / 60, shape).astype(np.int32)
    return rng.binomial(total, traffic.bad_rate).astype(np.int32), total


def _bad_positions(rng: np.random.Generator, rate: float, total: int) -> np.ndarray:
    """Indexes of the bad ones among `total` independent outcomes."""
    if rate == 0 or total == 0:
        return np.empty(0, dtype=np.int64)
    enough = int(total * rate + 10 * (total * rate) ** 0.5 + 20)
    positions = np.cumsum(rng.geometric(rate, enough)) - 1
    return positions[positions < total]
