"""Compare the schema version of every process with the database's.

A process not restarted after an upgrade writes by the old rules, so nothing is re-armed meanwhile.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cache

import structlog
from flask import Flask
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from control_plane import migrations, rollouts
from control_plane.core.gates import GateResult, GateStatus
from control_plane.core.phases import Rollout
from control_plane.platform.db.database import read_only
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import Sample, SeriesKey
from control_plane.platform.runtime import jobs

SIGNAL = "schema_differs"
GATE = "schema"
CHECK_SECONDS = 10.0
WINDOW = timedelta(minutes=1)

log = structlog.get_logger()

code_version = cache(migrations.head)
"""The version that the code of this process was made for."""


def check(_now: datetime, *, ours: Callable[[], str | None] = code_version) -> None:
    """Tell the guard whether the database has another version; nothing is known while it can't be reached."""
    try:
        with read_only() as session:
            theirs = migrations.current(session)
    except SQLAlchemyError:
        return
    differs = theirs != ours()
    if differs:
        log.error("schema.differs", database=theirs, code=ours())
    signals.record(Sample(SIGNAL, differs))


def schema_gate(session: Session, _rollout: Rollout, now: datetime) -> GateResult:
    """Close re-arming while a process says that the database has another version than its own."""
    counts = signals.minutes(session, now - WINDOW)
    differing = sum(count.bad for (series, _), count in counts.items() if series == SeriesKey(SIGNAL))
    if differing:
        reason = "A process runs code for another version of the schema; restart it, and wait for two minutes."
        return GateResult(GATE, GateStatus.CLOSED, reason, {"differing": differing})
    return GateResult(GATE, GateStatus.OPEN, "No process says that its schema differs.", {"differing": 0})


def init_app(app: Flask) -> None:
    """Let every process look, and nobody arm while they disagree; inside an application context."""
    code_version()  # read now: files that are replaced while this process runs are not its own
    jobs.jobs_of(app).run_on_all(CHECK_SECONDS, "schema-version", check)
    rollouts.register_rearm_gate(GATE, schema_gate)
