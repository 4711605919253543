"""Billing's place in the application: its routes, its metrics, and the jobs of its schedule."""

import socket
import uuid
from contextlib import suppress
from datetime import datetime, timedelta

import structlog
from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from control_plane.platform import clock, settings
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.observability import signals, telemetry
from control_plane.platform.observability.signals import Sample
from control_plane.platform.runtime import jobs
from credits_engine.billing import api, customer_api, metrics, price_administration
from credits_engine.billing.auto_top_ups import api as auto_top_up_api
from credits_engine.billing.auto_top_ups import change_limit
from credits_engine.billing.auto_top_ups.job import AutoTopUps
from credits_engine.billing.entitlements import period_sweep
from credits_engine.billing.entitlements.plan_of_prices import check_prices, is_mapped
from credits_engine.billing.entitlements.price_list import PRICE_LIST, PriceList, catalogue
from credits_engine.billing.inbox import webhook
from credits_engine.billing.inbox.handler import PAYMENT, PRICE, STRIPE
from credits_engine.billing.inbox.worker import StripeLookup, Worker, without_lookup
from credits_engine.billing.reconciliation.jobs import check_when_due
from credits_engine.billing.store import facts, inbox, inbox_queries
from credits_engine.billing.stripe_api import client
from credits_engine.billing.stripe_api.client import STRIPE_GATEWAY
from credits_engine.engines.plans import CATALOGUE

WORK_SECONDS = 0.5
PRICES_SECONDS = 2.0
SHIFT = timedelta(seconds=2)
SWEEP_SECONDS = 2.0
TIDY_SECONDS = 300.0
BODIES_KEPT = timedelta(days=90)
BODIES_MAX = 1_000
BREAKER_OPEN = "billing_breaker_open"
BREAKER_SECONDS = 5.0
WAITING, WAITING_SECONDS = "billing_waiting_long", 600.0
WAITING_LOOK_SECONDS = 15.0
CHECK_LOOK_SECONDS = 60.0
TOP_UP_SECONDS = 5.0

log = structlog.get_logger()


def init_app(app: Flask) -> None:
    """Mount the webhook, and let every process work off the inbox and the leader sweep."""
    check_prices(CATALOGUE)
    PRICE_LIST.set(app, PriceList())
    with suppress(SQLAlchemyError), app.app_context():
        # Commands run without a schedule. Where the database is away, that does it as soon as it is back.
        price_administration.reload(clock.now())
    key = settings.current().stripe_api_key
    gateway = client.connect(key, base_url=settings.current().stripe_api_url or None) if key else None
    deliveries = webhook.InboxWriter(webhook.write)
    webhook.INBOX_WRITER.set(app, deliveries)
    STRIPE_GATEWAY.set(app, gateway)
    app.register_blueprint(webhook.bp)
    app.register_blueprint(api.bp)
    app.register_blueprint(customer_api.bp)
    app.register_blueprint(auto_top_up_api.bp)
    change_limit.init_app(app)
    telemetry.collect_at_scrape(app, metrics.waiting)
    telemetry.exclude_from_access_log(app, "stripe_webhook.receive")
    name = f"{socket.gethostname()}:{uuid.uuid4().hex[:8]}"
    lookup = StripeLookup(gateway) if gateway else without_lookup
    _put_on_schedule(app, Worker(name, clock.now, lookup, deliveries.give_way))
    if gateway is not None:
        jobs.run_on_leader(app, TOP_UP_SECONDS, "billing-auto-top-ups", AutoTopUps().tick)


def _put_on_schedule(app: Flask, worker: Worker) -> None:
    periods = period_sweep.PeriodSweep()
    schedule = jobs.jobs_of(app)
    schedule.run_on_all(PRICES_SECONDS, "billing-prices", reload_prices)
    schedule.run_on_all(WORK_SECONDS, "billing-work", lambda now: work(worker, now))
    schedule.run_on_leader(SWEEP_SECONDS, "billing-sweep", lambda now: sweep_periods(periods, now))
    schedule.run_on_all(BREAKER_SECONDS, "billing-breaker", check_breaker)
    schedule.run_on_leader(WAITING_LOOK_SECONDS, "billing-waiting", check_backlog)
    schedule.run_on_leader(CHECK_LOOK_SECONDS, "billing-check", check)
    schedule.run_on_leader(TIDY_SECONDS, "billing-tidy", tidy)


def work(worker: Worker, now: datetime) -> None:
    """Work off what is due, for two seconds at most, so that the process can stop."""
    with read_only() as session:
        is_idle = not inbox.has_due(session, now)
    if not is_idle:
        # What an invoice sold once is judged by the prices when its event is applied, and never again.
        reload_prices(now)
        worker.work(until=now + SHIFT)


def sweep_periods(periods: period_sweep.PeriodSweep, now: datetime) -> None:
    """Sync what has fallen due and open periods for the next page of users."""
    period_sweep.sync_due(now)
    periods.tick(now)


def tidy(now: datetime) -> None:
    """Let parked events go on where what they waited for is there, drop old bodies, and look for limits left behind."""
    release_priced(now)
    if STRIPE_GATEWAY.get() is not None:
        release_pointers(now)
    release_payers(now)
    purge_payloads(now)
    period_sweep.check_limits(now)


def check(now: datetime) -> None:
    """Compare with Stripe where a day has passed or something was down."""
    check_when_due(STRIPE_GATEWAY.get(), now)


def reload_prices(now: datetime) -> None:
    """Bring this process up to the prices that were added, and let the events go on that waited for them."""
    if price_administration.reload(now):
        release_priced(now)


def release_priced(now: datetime) -> int:
    """Let events go on that waited for a price which the catalogue has by now; returns how many."""
    with transaction() as session:
        awaited = [name for name in inbox.awaited(session, PRICE) if is_mapped(name.removeprefix(PRICE), catalogue())]
        return sum(inbox.release(session, name, now=now) for name in awaited)


def release_payers(now: datetime) -> int:
    """Let events go on that waited for whoever made a payment; returns how many."""
    with transaction() as session:
        names = [name.removeprefix(PAYMENT) for name in inbox.awaited(session, PAYMENT)]
        known = [name for name in names if facts.payer_of(session, name)]
        return sum(inbox.release(session, f"{PAYMENT}{name}", now=now) for name in known)


def release_pointers(now: datetime) -> int:
    """Let thin events go on that waited for an API key; returns how many."""
    with transaction() as session:
        return inbox.release(session, STRIPE, now=now)


def purge_payloads(now: datetime) -> int:
    """Drop bodies that are older than we keep them; returns how many."""
    with transaction() as session:
        return inbox.purge_payloads(session, before=now - BODIES_KEPT, most=BODIES_MAX)


def check_breaker(_now: datetime) -> None:
    """Tell the guard whether this process has given up asking Stripe for the moment; without a key nobody asks."""
    gateway = STRIPE_GATEWAY.get()
    if gateway is not None:
        signals.record(Sample(BREAKER_OPEN, gateway.breaker.is_open))


def check_backlog(now: datetime) -> None:
    """Tell the guard whether the oldest event that is still to be applied has waited too long.

    The lag of an event is counted at its end. One that never ends is seen here alone.
    """
    with read_only() as session:
        seconds = inbox_queries.oldest_seconds(session, now)
    is_late = seconds > signals.bound_seconds(WAITING, WAITING_SECONDS)
    if is_late:
        log.error("billing.waiting_long", seconds=round(seconds))
    signals.record(Sample(WAITING, is_late))
