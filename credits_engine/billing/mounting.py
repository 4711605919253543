"""Billing's place in the application: its routes, its metrics, its work and its sweeps."""

import socket
import uuid
from datetime import UTC, datetime, timedelta

from flask import Flask, current_app

from control_plane.platform import settings
from control_plane.platform.db.database import read_only
from control_plane.platform.observability import telemetry
from control_plane.platform.runtime import jobs
from credits_engine.billing import api, evidence, intake, stripe_client, sweep, watching, webhook
from credits_engine.billing.doubts import AskStripe
from credits_engine.billing.prices import check_prices
from credits_engine.billing.store import inbox
from credits_engine.billing.worker import Worker, no_doubts
from credits_engine.engines.plans import CATALOGUE

WORK_SECONDS = 0.5
SHIFT = timedelta(seconds=2)
SWEEP_SECONDS = 2.0
TIDY_SECONDS = 300.0


def init_app(app: Flask) -> None:
    """Mount the webhook, and let every process work off the inbox and the leader sweep."""
    check_prices(CATALOGUE)
    key = settings.current().stripe_api_key
    truth = stripe_client.connect(key) if key else None
    app.extensions["billing_intake"] = deliveries = intake.Intake(intake.write)
    app.extensions["billing_truth"] = truth
    app.register_blueprint(webhook.bp)
    app.register_blueprint(api.bp)
    telemetry.collect_at_scrape(app, evidence.waiting)
    telemetry.exclude_from_access_log(app, "stripe_webhook.receive")
    name = f"{socket.gethostname()}:{uuid.uuid4().hex[:8]}"
    doubts = AskStripe(truth) if truth else no_doubts
    watching.init_app(app)
    _put_on_schedule(app, Worker(name, lambda: datetime.now(UTC), doubts, deliveries.give_way))


def _put_on_schedule(app: Flask, worker: Worker) -> None:
    roll = sweep.Roll()
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


def sweep_tables(roll: sweep.Roll, now: datetime) -> None:
    """Settle what has fallen due and open periods for the next page of users."""
    sweep.settle_due(now)
    roll.tick(now)


def tidy(now: datetime) -> None:
    """Let parked events go on where what they waited for is there, drop old bodies, and look for limits left behind."""
    sweep.release_priced(now)
    if current_app.extensions["billing_truth"] is not None:
        sweep.release_pointers(now)
    sweep.forget_bodies(now)
    sweep.watch_limits(now)
