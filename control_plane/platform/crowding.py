"""How full this process's pool of connections is: once it is full, requests wait."""

from datetime import datetime

import structlog
from flask import Flask

from control_plane.platform import jobs, signals
from control_plane.platform.checkouts import TimedPool
from control_plane.platform.database import db
from control_plane.platform.signals import Observation

SIGNAL = "database_pool_crowded"
SHARE_MAX = 0.9
LOOK_SECONDS = 5.0

log = structlog.get_logger()


def look(_now: datetime) -> None:
    """Tell the guard whether hardly a connection is left."""
    pool = db.engine.pool
    assert isinstance(pool, TimedPool)
    is_crowded = pool.share_taken > SHARE_MAX
    if is_crowded:
        log.warning("database.pool_crowded", taken=pool.checkedout())
    signals.record(Observation(SIGNAL, is_crowded))


def init_app(app: Flask) -> None:
    """Let every process look at its own pool."""
    jobs.of(app).everywhere(LOOK_SECONDS, "pool-crowded", look)
