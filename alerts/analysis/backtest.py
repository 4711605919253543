"""What an alert with another threshold or window would have concluded from counts of the past. Pure."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from alerts.analysis.evidence import Evidence
from alerts.analysis.rules import ErrorBudget, Rule, rule_test
from alerts.analysis.sequential_test import step
from control_plane.signal_counts import Counts


@dataclass(frozen=True, slots=True)
class Backtest:
    """When the evidence of one attempt over all of the counts would first have been enough; None where it never was."""

    counts: Counts
    highest: Counts
    """Those of the window with the highest rate."""
    held_at: datetime | None
    rolled_back_at: datetime | None


def backtest(
    rule: Rule, history: Iterable[tuple[datetime, Counts]], *, budget: ErrorBudget, burst_size: float
) -> Backtest:
    """Return what `rule` would have concluded of `history`, increments in the order of time, without attribution.

    `burst_size` is how many failures come at once, as learnt in the attempt; the evidence allows for it.
    """
    test = rule_test(rule, burst_size=burst_size)
    evidence, window, highest = Evidence(), deque[tuple[datetime, Counts]](), Counts()
    held_at = rolled_back_at = None
    for at, counts in history:
        evidence = step(test, evidence, counts, at=at)
        window.append((at, counts))
        while (at - window[0][0]).total_seconds() >= rule.window_seconds:
            window.popleft()
        in_window = sum((each for _, each in window), Counts())
        highest = max(highest, in_window, key=lambda each: (each.rate, each.bad))
        if held_at is None and evidence.log_e >= budget.hold_log_e:
            held_at = at
        if rolled_back_at is None and budget.is_reached_by(evidence):
            rolled_back_at = at
    return Backtest(evidence.counts, highest, held_at, rolled_back_at)
