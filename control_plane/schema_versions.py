"""Whether every process was made for the schema that the database has: after an upgrade, one that wasn't restarted yet
writes by the rules of before. Meanwhile nothing is armed.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cache

import structlog
from flask import Flask
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from control_plane import migrations, rollouts
from control_plane.gates import GateResult, GateStatus
from control_plane.phases import Rollout
from control_plane.platform import jobs, signals
from control_plane.platform.database import reading
from control_plane.platform.signals import Observation, Series

SIGNAL = "schema_differs"
GATE = "schema"
LOOK_SECONDS = 10.0
LOOKED_BACK = timedelta(minutes=1)

log = structlog.get_logger()

known = cache(migrations.head)
"""The version that the code of this process was made for."""


def look(_now: datetime, *, ours: Callable[[], str | None] = known) -> None:
    """Tell the guard whether the database has another version; nothing is known while it can't be reached."""
    try:
        with reading() as session:
            theirs = migrations.current(session)
    except SQLAlchemyError:
        return
    differs = theirs != ours()
    if differs:
        log.error("schema.differs", database=theirs, code=ours())
    signals.record(Observation(SIGNAL, differs))


def agreement(session: Session, _rollout: Rollout, now: datetime) -> GateResult:
    """For re-arming: closed while a process says that the database has another version than its own."""
    counts = signals.minutes(session, now - LOOKED_BACK)
    differing = sum(count.bad for (series, _), count in counts.items() if series == Series(SIGNAL))
    if differing:
        reason = "A process runs code for another version of the schema; restart it, and wait for two minutes."
        return GateResult(GATE, GateStatus.CLOSED, reason, {"differing": differing})
    return GateResult(GATE, GateStatus.OPEN, "No process says that its schema differs.", {"differing": 0})


def init_app(app: Flask) -> None:
    """Let every process look, and nobody arm while they disagree; inside an application context."""
    known()  # read now: files that are replaced while this process runs are not its own
    jobs.of(app).everywhere(LOOK_SECONDS, "schema-version", look)
    rollouts.register_rearm_gate(GATE, agreement)
