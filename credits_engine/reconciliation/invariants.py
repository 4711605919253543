"""Work of the leader: hold the books against the journal all the time and tell the guard of anything that is wrong.

Each difference is a bad outcome of a tripwire: the first one rolls back.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

import structlog
from flask import Flask, current_app

from control_plane.audiences.exposure import PRODUCTION
from control_plane.core.phases import exposure
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.extensions import AppState
from control_plane.platform.observability import signals, telemetry
from control_plane.platform.observability.signals import Sample, SeriesKey
from control_plane.platform.runtime import jobs
from control_plane.platform.runtime.hourly import HOUR, once_for_hour
from control_plane.platform.settings import current
from control_plane.rollouts import store as rollout_store
from control_plane.signal_counts import Counts
from credits_engine.engines.decisions import EngineName
from credits_engine.store import guard_queries, migration
from credits_engine.store.reconciliation import BookTotal, page_differences

CHECK_SECONDS = 5.0
RECENT = timedelta(minutes=10)
CURSOR = AppState[str]("ledger_check_cursor", str)
"""The user up to whom the books were checked in this round."""
DIFFERENCE = "credit_ledger_difference"
DOUBLE_CHARGE = "credit_double_charge"
AT_RISK = "credits_at_risk"
OVERLAP = "credit_period_overlap"
PERIODS_SECONDS = 600.0
CORRECTED = "credit_manual_correction"
CORRECTED_SECONDS = 300.0
LOGGED = 10

CONFLICTS = frozenset({409, 429})
OUR_FAULT = frozenset(range(500, 600))
CONSUMING = ("credits.consume_view", "credits.reserve_view")

log = structlog.get_logger()


def check(now: datetime) -> list[BookTotal]:
    """Check the next page of users and the operations of the last minutes; returns the rows that differ."""
    with read_only() as session:
        after, _, wrong = page_differences(session, CURSOR.get())
        twice = guard_queries.charged_twice(session, now - RECENT)
    CURSOR.set(current_app, after or "")
    for total in wrong:
        log.error("books.differ", user=total.user_id, engine=total.engine, period_start=total.period_start.isoformat())
    for user_id, key in twice:
        log.error("operation.charged_twice", user=user_id, key=key)
    signals.record(difference(wrong), Sample(DOUBLE_CHARGE, bad=bool(twice)))
    check_credits_at_risk(now)
    return wrong


def difference(wrong: Sequence[BookTotal]) -> Sample:
    """Report whether books differ; under legacy's name where only its own do, to which nobody should go back."""
    legacys = bool(wrong) and all(each.engine is EngineName.LEGACY for each in wrong)
    return Sample(DIFFERENCE, bad=bool(wrong), engine=EngineName.LEGACY.value if legacys else "")


def check_credits_at_risk(_now: datetime) -> None:
    """Tell the guard whether v2 has charged differently by more credits than a step may put at stake.

    The alert says how many that are, or else the settings.
    """
    with read_only() as session:
        rollout = rollout_store.load(session, FLAG)
        if rollout is None or exposure(rollout, PRODUCTION).empty:
            return
        apart = guard_queries.credits_differing(session, rollout.entered_at)
    most = signals.budget(current_app, AT_RISK, current().credits_at_risk_max)
    if apart > most:
        log.error("credits.at_risk", charged_differently=apart, allowed=most)
    signals.record(Sample(AT_RISK, bad=apart > most))


def check_periods(_now: datetime) -> None:
    """Tell the guard whether anybody has two periods at once, and so two allowances."""
    with read_only() as session:
        found = migration.overlapping(session)
    if found:
        log.error("periods.overlap", users=found[:LOGGED], found=len(found))
    signals.record(Sample(OVERLAP, bad=bool(found)))


def count_corrections(now: datetime) -> None:
    """Tell the guard, once for each full hour, how many of the users who were active somebody had to correct by hand.

    Of users and not of operations: whoever consumes a thousand times must not hide those who had reason to complain.
    """
    once_for_hour(CORRECTED, now, partial(_count_corrections, now))


def _count_corrections(now: datetime, ended_at: datetime) -> bool:
    with read_only() as session:
        by_hand, active = guard_queries.corrected(session, ended_at - HOUR, ended_at)
    with transaction() as session:
        signals.add_hour(session, SeriesKey(CORRECTED), Counts(by_hand, active), began_at=ended_at - HOUR, now=now)
    return True


def init_app(app: Flask) -> None:
    """Put the checks on the leader's schedule and report how the endpoints of the credits answer."""
    telemetry.measure_latency(app, "credit_status_slow", "credits.status_view", slow_after_seconds=0.2)
    telemetry.measure_latency(app, "credit_api_slow", *CONSUMING, slow_after_seconds=0.05)
    telemetry.measure_statuses(app, "credit_api_conflict", *CONSUMING, bad=CONFLICTS)
    telemetry.measure_statuses(app, "billing_delivery_failure", "stripe_webhook.receive", bad=OUR_FAULT)
    jobs.run_on_leader(app, CHECK_SECONDS, "check-books", check)
    jobs.run_on_leader(app, PERIODS_SECONDS, "check-periods", check_periods)
    jobs.run_on_leader(app, CORRECTED_SECONDS, "count-corrections", count_corrections)
