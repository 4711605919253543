"""Report a saturated connection pool: once it is full, requests wait."""

from datetime import datetime

import structlog
from flask import Flask

from control_plane.platform.db.database import db
from control_plane.platform.db.pool import InstrumentedPool
from control_plane.platform.observability import saturation, signals
from control_plane.platform.observability.signals import Sample
from control_plane.platform.runtime import jobs

SIGNAL = "database_pool_saturated"
SHARE_MAX = 0.9
CHECK_SECONDS = 5.0

log = structlog.get_logger()


def check(_now: datetime) -> None:
    """Tell the guard whether hardly a connection is left."""
    pool = db.engine.pool
    assert isinstance(pool, InstrumentedPool)
    is_saturated = pool.utilization > SHARE_MAX
    saturation.CONNECTIONS.set(pool.checkedout())
    if is_saturated:
        log.warning("database.pool_saturated", taken=pool.checkedout())
    signals.record(Sample(SIGNAL, is_saturated))


def init_app(app: Flask) -> None:
    """Let every process look at its own pool."""
    jobs.jobs_of(app).run_on_all(CHECK_SECONDS, "pool-saturated", check)
