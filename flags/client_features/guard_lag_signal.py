"""Report the age of the guard's last judgement in each process: a slow guard shows before its lease ends."""

from datetime import datetime

import structlog
from flask import Flask

from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import Sample
from control_plane.platform.runtime import jobs
from flags.client_features.refresher import REFRESHER

SIGNAL = "guard_lag"
LATE_SECONDS = 10.0
CHECK_SECONDS = 5.0

log = structlog.get_logger()


def check(_now: datetime) -> None:
    """Tell the guard, as soon as it judges again, whether it was late; before its first heartbeat nothing is known."""
    seconds = REFRESHER.get().guard_lag_seconds
    if seconds is None:
        return
    is_late = seconds > signals.bound_seconds(SIGNAL, LATE_SECONDS)
    if is_late:
        log.warning("guard.late", seconds=round(seconds))
    signals.record(Sample(SIGNAL, is_late))


def init_app(app: Flask) -> None:
    """Let every process look."""
    jobs.jobs_of(app).run_on_all(CHECK_SECONDS, "guard-age", check)
