"""Billing's signals for the guard and metrics for Prometheus."""

from collections.abc import Iterable, Sequence
from datetime import datetime

import structlog
from prometheus_client import Counter, Histogram
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from sqlalchemy.orm import Session

from control_plane.platform import clock
from control_plane.platform.db.database import after_commit, read_only
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import Sample
from credits_engine.billing.facts import Fact, InvoicePaid, PackPaid, Refund
from credits_engine.billing.store import inbox_queries
from credits_engine.billing.store.inbox import State
from credits_engine.operations.period_openings import OpenedPeriod

FAILURE = "billing_webhook_failure"
APPLIED_TWICE = "billing_applied_twice"
RESET_TWICE = "billing_reset_twice"
LATE, LATE_SECONDS = "billing_lag_slow", 60.0
DEAD = "billing_dead_letter"
SIGNATURE = "billing_signature_failure"
PERIOD_DIFFERS = "billing_period_differs"
DIFFERENCE_SECONDS = 60.0
RESET_LATE, RESET_LATE_SECONDS = "credit_reset_late", 900.0
RESET_SKIPPED = "credit_reset_skipped"
PLAN_LATE, PLAN_LATE_SECONDS = "plan_limits_late", 60.0
REFUNDED = "billing_refund"
MISSED = "billing_missed"
EVENT_MISSED = "billing_event_missed"
LOGGED = 10
ENDED = (State.APPLIED, State.SUPERSEDED, State.IGNORED, State.REFUSED, State.DEAD)
SECONDS = (0.1, 0.5, 1.0, 5.0, 30.0, 60.0, 600.0, 3600.0, 86_400.0)

FINISHED = Counter("rollout_billing_finished", "Events by how they ended.", ["state"])
LAG = Histogram("rollout_billing_lag_seconds", "Time from the first delivery of an event to its end.", buckets=SECONDS)
for each in (*ENDED, State.PARKED):
    FINISHED.labels(each.value)

log = structlog.get_logger()


def report(event_id: str, *, failed: bool) -> None:
    """Tell the guard how an event went at its first attempt; call it after the commit."""
    signals.record(Sample(FAILURE, failed, account=event_id))


def report_signature(*, refused: bool) -> None:
    """Tell the guard whether a delivery was believed: a secret that was changed on one side alone refuses them all."""
    signals.record(Sample(SIGNATURE, bad=refused))


def report_period(subscription_id: str, *, ours: datetime, theirs: datetime) -> None:
    """Tell the guard whether a subscription's period ends with us when it ends with Stripe."""
    apart = abs((ours - theirs).total_seconds())
    signals.record(Sample(PERIOD_DIFFERS, bad=apart > DIFFERENCE_SECONDS, account=subscription_id))


def report_comparison(subscription_id: str, *, missed: bool) -> None:
    """Tell the guard whether Stripe has something of a subscription that no event has told us."""
    signals.record(Sample(MISSED, bad=missed, account=subscription_id))


def report_money(session: Session, fresh: Sequence[Fact]) -> None:
    """Tell the guard, once it is committed, what was paid and what was given back; a charge in parts counts once."""
    found = [Sample(REFUNDED, bad=True, account=each.charge_id) for each in fresh if isinstance(each, Refund)]
    found += [Sample(REFUNDED, bad=False) for each in fresh if isinstance(each, InvoicePaid | PackPaid)]
    after_commit(session, lambda: signals.record(*found))


def report_resets(session: Session, opened: Sequence[OpenedPeriod], *, now: datetime) -> None:
    """Tell the guard, once it is committed, whether credits were reset when the period before had ended.

    A user's first period resets nothing. One that starts later than the one before it ended leaves out a cycle.
    """
    bound = signals.bound_seconds(RESET_LATE, RESET_LATE_SECONDS)
    found = [
        observation
        for each in opened
        if each.ended_at is not None
        for observation in (
            Sample(RESET_LATE, (now - each.ended_at).total_seconds() > bound, account=each.user_id),
            Sample(RESET_SKIPPED, each.period.start > each.ended_at, account=each.user_id),
        )
    ]
    after_commit(session, lambda: signals.record(*found))


def report_plan(session: Session, user_id: str, *, due_at: datetime, now: datetime) -> None:
    """Tell the guard, once it is committed, how long after it was due a change of plan is in the limits."""
    late = (now - due_at).total_seconds() > plan_late_seconds()
    after_commit(session, lambda: signals.record(Sample(PLAN_LATE, late, account=user_id)))


def plan_late_seconds() -> float:
    """Return from when on limits that do not follow a change of plan are late."""
    return signals.bound_seconds(PLAN_LATE, PLAN_LATE_SECONDS)


def report_behind(user_ids: Sequence[str]) -> None:
    """Tell the guard whose limits have not followed their plan at all."""
    if user_ids:
        log.error("billing.limits_behind", users=user_ids[:LOGGED], found=len(user_ids))
    signals.record(*(Sample(PLAN_LATE, bad=True, account=user_id) for user_id in user_ids))


def report_missed_events(event_ids: Sequence[str]) -> None:
    """Tell the guard, and people through it, which events of Stripe's list no delivery brought."""
    if event_ids:
        log.error("billing.events_missed", events=event_ids[:LOGGED], found=len(event_ids))
    signals.record(*(Sample(EVENT_MISSED, bad=True, account=event_id) for event_id in event_ids))
    if not event_ids:
        signals.record(Sample(EVENT_MISSED, bad=False))


def trip(session: Session, tripwire: str, **fields: str) -> None:
    """Tell that something happened that must never happen; the guard learns of it when this transaction commits."""
    log.error(tripwire.replace("_", ".", 1), **fields)
    after_commit(session, lambda: signals.record(Sample(tripwire, bad=True)))


def measure(state: State, lag_seconds: float) -> None:
    """Count the end of an event and how long it took to get there."""
    FINISHED.labels(state.value).inc()
    LAG.observe(max(lag_seconds, 0.0))
    if state in ENDED:
        bound = signals.bound_seconds(LATE, LATE_SECONDS)
        signals.record(Sample(LATE, lag_seconds > bound), Sample(DEAD, state is State.DEAD))


def waiting() -> Iterable[Metric]:
    """Yield the backlog, read from the inbox at each scrape."""
    with read_only() as session:
        found = inbox_queries.unfinished(session, clock.now())
    events = GaugeMetricFamily("rollout_billing_waiting", "Events that have not ended well.", labels=["state"])
    for state, number in found.counts.items():
        events.add_metric([state], number)
    yield events
    yield GaugeMetricFamily(
        "rollout_billing_oldest_unapplied_seconds",
        "Age of the oldest event that is still to be applied.",
        value=found.oldest_seconds,
    )
