"""Billing's part in checklists: whether Stripe's events come in and have their effect."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from control_plane.core.checklist import CheckResult, failed, passed, unknown
from control_plane.core.phases import Rollout
from credits_engine.billing.store import inbox_queries
from credits_engine.billing.store.inbox import State

STUCK = (State.PARKED, State.DEAD)


def webhooks_check(session: Session, _rollout: Rollout, argument: str, now: datetime) -> CheckResult:
    """Check that events of Stripe were applied within `argument` days and none is stuck."""
    days = int(argument or 7)
    counts = inbox_queries.unfinished(session, now).counts
    if stuck := sum(counts[state.value] for state in STUCK):
        return failed(f"{stuck:,} events of Stripe are stuck; `rollout billing events` lists them.")
    count = inbox_queries.applied(session, since=now - timedelta(days=days))
    if not count:
        return unknown(f"No event of Stripe was applied in {days} days.")
    return passed(f"{count:,} events of Stripe were applied in {days} days, and none is stuck.")
