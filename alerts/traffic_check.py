"""Work of the leader: hold the operations of each full hour against the same hour of the weeks before."""

from datetime import datetime, timedelta
from functools import partial

import structlog
from flask import Flask
from sqlalchemy.orm import Session

from alerts import store
from alerts.analysis.traffic import WEEKS, TrafficHour
from control_plane.experiments.migration import Migration
from control_plane.experiments.registry import migrations
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.observability import signal_points, signals
from control_plane.platform.observability.request_outcomes import arm_label
from control_plane.platform.observability.signals import SeriesKey
from control_plane.platform.runtime import jobs
from control_plane.platform.runtime.hourly import HOUR, once_for_hour
from control_plane.signal_counts import Counts

SIGNAL = "traffic_unusual"
LOOK_SECONDS = 60.0
WEEK = timedelta(weeks=1)

log = structlog.get_logger()


def check(now: datetime) -> None:
    """Count, once for each full hour and migration, whether its traffic was unusual."""
    once_for_hour(SIGNAL, now, partial(_count, now))


def _count(now: datetime, ended_at: datetime) -> bool:
    for migration in migrations():
        with read_only() as session:
            hour = traffic_hour(session, migration, ended_at)
        if hour is None:
            continue
        if hour.is_unusual:
            log.warning("traffic.unusual", flag=migration.flag, operations=hour.count, other_weeks=list(hour.weeks))
        series = SeriesKey(SIGNAL, arm_label(migration.flag, "all"))
        with transaction() as session:
            signals.add_hour(session, series, Counts(int(hour.is_unusual), 1), began_at=ended_at - HOUR, now=now)
    return True


def traffic_hour(session: Session, migration: Migration, ended_at: datetime) -> TrafficHour | None:
    """Return the hour that ended then beside those of the weeks before; None where nothing was counted before it."""
    first = store.first_minute(session, migration.signals.routed)
    began = ended_at - HOUR
    if first is None or first > began:
        return None
    weeks = [began - number * WEEK for number in range(1, WEEKS + 1)]
    counts = [_operations(session, migration, each) for each in weeks if each >= first]
    return TrafficHour(_operations(session, migration, began), counts)


def _operations(session: Session, migration: Migration, began: datetime) -> int:
    minute = int(began.timestamp()) // 60
    found = signal_points.sums(session, minute, minute + 60)
    return sum(count.total for series, count in found.items() if series.signal == migration.signals.routed)


def init_app(app: Flask) -> None:
    """Put the check on the leader's schedule."""
    jobs.run_on_leader(app, LOOK_SECONDS, "check-traffic", check)
