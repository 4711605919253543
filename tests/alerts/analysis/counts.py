"""Counts at random, and the evidence that counts leave behind."""

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from alerts.analysis.evidence import Evidence
from alerts.analysis.sequential_test import SequentialTest, rate_test, step
from control_plane.signal_counts import Counts

START = datetime(2026, 3, 1, tzinfo=UTC)
WINDOW = 300
ONE_PERCENT = rate_test(0.01, window_seconds=WINDOW)
counts = st.builds(lambda bad, good: Counts(bad, bad + good), st.integers(0, 50), st.integers(0, 500))
few = st.builds(lambda bad, good: Counts(bad, bad + good), st.integers(0, 8), st.integers(0, 500))
thresholds = st.sampled_from([0.0005, 0.001, 0.005, 0.01, 0.05, 0.2, 0.5])


def after(
    bet: SequentialTest, *increments: Counts, evidence: Evidence | None = None, every_seconds: float = 1
) -> Evidence:
    """Return the evidence after one increment each `every_seconds`, from START on."""
    seen = evidence or Evidence()
    for index, increment in enumerate(increments):
        seen = step(bet, seen, increment, at=START + timedelta(seconds=index * every_seconds))
    return seen
