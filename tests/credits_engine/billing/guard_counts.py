"""What the guard sees of billing: outcomes of its events, and tripwires."""

from control_plane.platform.db.database import read_only
from control_plane.platform.observability import signals
from tests.credits_engine.billing.conftest import Billing


def failures(billing: Billing) -> tuple[int, int]:
    """Return the numbers of bad and of all outcomes that the guard would see."""
    signals.flush(billing.now)
    with read_only() as session:
        counts = [c for s, c in signals.totals(session).items() if s.signal == "billing_webhook_failure"]
    return sum(count.bad for count in counts), sum(count.total for count in counts)


def tripped(billing: Billing, signal: str) -> bool:
    """Return whether the guard would see this tripwire."""
    signals.flush(billing.now)
    with read_only() as session:
        return any(series.signal == signal and count.bad for series, count in signals.totals(session).items())
