"""Billing's health for the guard: whether Stripe can be reached, and how long events have waited."""

from datetime import datetime

import structlog
from flask import Flask, current_app

from control_plane.platform.db.database import read_only
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import Sample
from control_plane.platform.runtime import jobs
from credits_engine.billing.store import inbox_queries
from credits_engine.billing.stripe_api.client import STRIPE_GATEWAY

BREAKER_OPEN = "billing_breaker_open"
BREAKER_SECONDS = 5.0
WAITING, WAITING_SECONDS = "billing_waiting_long", 600.0
WAITING_LOOK_SECONDS = 15.0

log = structlog.get_logger()


def check_breaker(_now: datetime) -> None:
    """Tell the guard whether this process has given up asking Stripe for the moment; without a key nobody asks."""
    gateway = STRIPE_GATEWAY.get()
    if gateway is not None:
        signals.record(Sample(BREAKER_OPEN, gateway.breaker.is_open))


def check_backlog(now: datetime, _term: int) -> None:
    """Tell the guard whether the oldest event that is still to be applied has waited too long.

    The lag of an event is counted at its end. One that never ends is seen here alone.
    """
    with read_only() as session:
        seconds = inbox_queries.oldest_seconds(session, now)
    is_late = seconds > signals.bound_seconds(current_app, WAITING, WAITING_SECONDS)
    if is_late:
        log.error("billing.waiting_long", seconds=round(seconds))
    signals.record(Sample(WAITING, is_late))


def init_app(app: Flask) -> None:
    """Let every process look at its breaker, and the leader at the inbox."""
    schedule = jobs.jobs_of(app)
    schedule.run_on_all(BREAKER_SECONDS, "billing-breaker", check_breaker)
    schedule.run_on_leader(WAITING_LOOK_SECONDS, "billing-waiting", check_backlog)
