"""Billing's place in the application: its routes, its metrics, its work and its sweeps."""

import socket
import uuid
from datetime import UTC, datetime, timedelta

from flask import Flask

from control_plane.platform import settings
from control_plane.platform.db.database import read_only
from control_plane.platform.observability import telemetry
from control_plane.platform.runtime import jobs
from credits_engine.billing import api, health_signals, metrics
from credits_engine.billing.entitlements import period_rollover
from credits_engine.billing.entitlements.prices import check_prices
from credits_engine.billing.inbox import webhook, writer
from credits_engine.billing.inbox.worker import Worker, without_lookup
from credits_engine.billing.store import inbox
from credits_engine.billing.stripe_api import client
from credits_engine.billing.stripe_api.lookup import StripeLookup
from credits_engine.engines.plans import CATALOGUE

WORK_SECONDS = 0.5
SHIFT = timedelta(seconds=2)
SWEEP_SECONDS = 2.0
TIDY_SECONDS = 300.0


def init_app(app: Flask) -> None:
    """Mount the webhook, and let every process work off the inbox and the leader sweep."""
    check_prices(CATALOGUE)
    key = settings.current().stripe_api_key
    truth = client.connect(key) if key else None
    deliveries = writer.InboxWriter(writer.write)
    writer.INBOX_WRITER.set(app, deliveries)
    client.STRIPE_GATEWAY.set(app, truth)
    app.register_blueprint(webhook.bp)
    app.register_blueprint(api.bp)
    telemetry.collect_at_scrape(app, metrics.waiting)
    telemetry.exclude_from_access_log(app, "stripe_webhook.receive")
    name = f"{socket.gethostname()}:{uuid.uuid4().hex[:8]}"
    doubts = StripeLookup(truth) if truth else without_lookup
    health_signals.init_app(app)
    _put_on_schedule(app, Worker(name, lambda: datetime.now(UTC), doubts, deliveries.give_way))


def _put_on_schedule(app: Flask, worker: Worker) -> None:
    roll = period_rollover.PeriodRollover()
    schedule = jobs.jobs_of(app)
    schedule.run_on_all(WORK_SECONDS, "billing-work", lambda now: work(worker, now))
    schedule.run_on_leader(SWEEP_SECONDS, "billing-sweep", lambda now, _term: sweep_tables(roll, now))
    schedule.run_on_leader(TIDY_SECONDS, "billing-tidy", lambda now, _term: tidy(now))


def work(worker: Worker, now: datetime) -> None:
    """Work off what is due, for two seconds at most, so that the process can stop."""
    with read_only() as session:
        is_idle = not inbox.has_due(session, now)
    if not is_idle:
        worker.work(until=now + SHIFT)


def sweep_tables(roll: period_rollover.PeriodRollover, now: datetime) -> None:
    """Settle what has fallen due and open periods for the next page of users."""
    period_rollover.sync_due(now)
    roll.tick(now)


def tidy(now: datetime) -> None:
    """Let parked events go on where what they waited for is there, drop old bodies, and look for limits left behind."""
    period_rollover.release_priced(now)
    if client.STRIPE_GATEWAY.get() is not None:
        period_rollover.release_pointers(now)
    period_rollover.forget_bodies(now)
    period_rollover.check_limits(now)
