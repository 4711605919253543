"""Work of the leader: hold the books against the journal all the time and tell the guard of anything that is wrong.

Each difference is a bad outcome of a tripwire: the first one rolls back.
"""

from datetime import datetime, timedelta

import structlog
from flask import Flask, current_app

from control_plane import blast_radius
from control_plane.platform import jobs, signals
from control_plane.platform.database import reading
from control_plane.platform.signals import Observation
from credits_engine.store import guardrails
from credits_engine.store.reconciliation import BookTotal, page_totals

CHECK_SECONDS = 5.0
RECENT = timedelta(minutes=10)
CURSOR = "books_checked"
DIFFERENCE = "credit_ledger_difference"
DOUBLE_CHARGE = "credit_double_charge"

log = structlog.get_logger()


def check(now: datetime) -> list[BookTotal]:
    """Check the next page of users and the operations of the last minutes; returns the rows that differ."""
    with reading() as session:
        after, page = page_totals(session, current_app.extensions.get(CURSOR, ""))
        twice = guardrails.charged_twice(session, now - RECENT)
    current_app.extensions[CURSOR] = after or ""
    wrong = [total for total in page if total.book != total.journal]
    for total in wrong:
        log.error("books.differ", user=total.user_id, engine=total.engine, period_start=total.period_start.isoformat())
    for user_id, key in twice:
        log.error("operation.charged_twice", user=user_id, key=key)
    signals.record(Observation(DIFFERENCE, bad=bool(wrong)), Observation(DOUBLE_CHARGE, bad=bool(twice)))
    return wrong


def init_app(app: Flask) -> None:
    """Put the check on the leader's schedule and let the control plane measure what is at stake."""
    blast_radius.register_meter(guardrails.blast)
    jobs.every(app, CHECK_SECONDS, "check-books", _check)


def _check(now: datetime, _term: int) -> None:
    check(now)
