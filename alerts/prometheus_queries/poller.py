"""Work of the leader: ask for the totals of every alert with a query, and count what was added since the last answer.

Nothing waits for Prometheus. While it is down or an answer can't be used, such an alert has nothing to judge by, which
is told after a while; what was counted meanwhile is in the next answer.
"""

from datetime import datetime

import structlog
from flask import Flask
from sqlalchemy.orm import Session

from alerts.analysis.rules import Rule
from alerts.definitions import rules_file
from alerts.prometheus_queries import store
from alerts.prometheus_queries.prometheus import QueryError, query_total
from control_plane.platform.db.database import transaction
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import SeriesKey
from control_plane.platform.runtime import jobs
from control_plane.platform.settings import current
from control_plane.signal_counts import Counts

POLL_SECONDS = 5.0
NOT_CONFIGURED = "PROMETHEUS_URL is not set, so nobody can be asked."

log = structlog.get_logger()


def poll(now: datetime) -> None:
    """Ask for every alert that has a query."""
    for rule in rules_file.current().rules:
        if rule.query is not None:
            _poll(rule, now)


def init_app(app: Flask) -> None:
    """Put the asking on the leader's schedule."""
    jobs.run_on_leader(app, POLL_SECONDS, "poll-sources", poll)


def _poll(rule: Rule, now: datetime) -> None:
    totals, problem = _measure(rule, now)
    if problem:
        log.warning("source.no_answer", alert=rule.name, problem=problem)
    with transaction() as session:
        if totals is not None:
            _count(session, rule, totals, now)
        store.save(session, rule.name, rule.fingerprint, totals, now=now, problem=problem)


def _measure(rule: Rule, now: datetime) -> tuple[tuple[float, float] | None, str | None]:
    """Return (bad, total) so far, or why there is no answer."""
    assert rule.query is not None
    if not current().prometheus_url:
        return None, NOT_CONFIGURED
    url, at = current().prometheus_url, now.timestamp()
    try:
        return (query_total(url, rule.query.bad, at=at), query_total(url, rule.query.total, at=at)), None
    except QueryError as error:
        return None, str(error)


def _count(session: Session, rule: Rule, totals: tuple[float, float], now: datetime) -> None:
    """Count what was added. A counter that went backwards was reset, and what it says now is a new beginning."""
    before = store.find(session, rule.name)
    if before is None or before.question != rule.fingerprint or before.bad is None or before.total is None:
        return
    bad, total = round(totals[0] - before.bad), round(totals[1] - before.total)
    if total > 0 and bad >= 0:
        # The two queries are asked one after the other, so a bad outcome may be there before its total.
        signals.add(session, SeriesKey(rule.metric.signal), Counts(min(bad, total), total), now)
