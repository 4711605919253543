"""Both books are held against the journal by the clock, after each rollback and on demand; a difference is an alarm.

Every hour and after a rollback that is done with kept sums, once a day and on demand from the journal alone.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

import structlog
from flask import Flask
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from sqlalchemy.orm import Session

from control_plane.platform import clock
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.observability import signals, telemetry
from control_plane.platform.observability.signals import Sample
from control_plane.platform.runtime import jobs
from control_plane.rollouts import store as rollout_store
from credits_engine.reconciliation import totals
from credits_engine.reconciliation.invariants import DIFFERENCE, difference
from credits_engine.reconciliation.journal import Reconciliation, reconcile
from credits_engine.store import check_results
from credits_engine.store.check_results import Run

LOOK_SECONDS = 15.0
LOGGED = 10
EVERY, THOROUGHLY_EVERY = timedelta(hours=1), timedelta(days=1)
THOROUGH = ("daily", "demand")

log = structlog.get_logger()


def check_books(now: datetime, cause: str) -> Reconciliation:
    """Compare, remember the result, and tell the guard of it. For the causes in THOROUGH the whole journal is read."""
    if cause in THOROUGH:
        with read_only() as session:
            result = reconcile(session)
    else:
        result = _with_sums(cause)
    with transaction() as session:
        check_results.add_run(session, Run(now, cause, result.checked, result.found))
    # Of a list that was cut short nobody knows whose book the rest are, so it counts against no engine by name.
    whole = result.found == len(result.differences)
    signals.record(difference(result.differences) if whole else Sample(DIFFERENCE, bad=True))
    if not result.clean:
        first = {"user": each.user_id, "engine": each.engine} if (each := next(iter(result.differences), None)) else {}
        log.error("credits.books_differ", found=result.found, cause=cause, packs=result.packs[:LOGGED], **first)
    return result


def _with_sums(cause: str) -> Reconciliation:
    totals.advance()
    with read_only() as session:
        result, reliable = totals.compare(session)
    if not reliable:
        log.error("credits.sums_differ", cause=cause)
        totals.rebuild()
    return result


def due(session: Session, now: datetime) -> str | None:
    """Return why the books have to be compared now; None when they need not."""
    last, thorough = check_results.latest_run(session), check_results.latest_run(session, *THOROUGH)
    if last is None or thorough is None or now - thorough.at >= THOROUGHLY_EVERY:
        return "daily"
    if now - last.at >= EVERY:
        return "schedule"
    rollouts = rollout_store.load_all(session)
    if any(rollout.latched and rollout.state_changed_at > last.at for rollout in rollouts):
        return "rollback"
    return None


def init_app(app: Flask) -> None:
    """Put the comparison on the leader's schedule and its result into each scrape."""
    jobs.run_on_leader(app, LOOK_SECONDS, "reconcile-credits", _check_due)
    telemetry.collect_at_scrape(app, collect)


def collect() -> Iterator[Metric]:
    """Yield the number of book rows that differed at the last comparison, and its age."""
    with read_only() as session:
        last = check_results.latest_run(session)
    if last is not None:
        help_text = "Book rows that differ from the journal, as last compared."
        yield GaugeMetricFamily("rollout_credit_reconcile_differences", help_text, value=last.found)
        age = (clock.now() - last.at).total_seconds()
        yield GaugeMetricFamily("rollout_credit_reconcile_age_seconds", "Since that comparison.", value=age)


def _check_due(now: datetime) -> None:
    with read_only() as session:
        cause = due(session, now)
    if cause:
        check_books(now, cause)
