"""Work of the leader: count the users who went to and fro between the engines though the rollout stood still.

Within a step an engine is a user's for good. It changes once for whom somebody puts on a list or takes off it; whoever
comes back was moved by a fault: processes that disagree about the flag, or a guard that was gone for a while.
"""

from datetime import datetime
from functools import partial

from flask import Flask

from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import SeriesKey
from control_plane.platform.runtime import jobs
from control_plane.platform.runtime.hourly import HOUR, once_for_hour
from control_plane.rollouts import store as rollout_store
from control_plane.signal_counts import Counts
from credits_engine.store import guard_queries

SIGNAL = "credit_engine_flapping"
MOVES_ALLOWED = 1
LOOK_SECONDS = 300.0


def count(now: datetime) -> None:
    """Tell the guard, once for each full hour, how many of the active users moved too often within a period."""
    once_for_hour(SIGNAL, now, partial(_count, now))


def _count(now: datetime, ended_at: datetime) -> bool:
    with read_only() as session:
        rollout = rollout_store.load(session, FLAG)
        if rollout is None or rollout.latched or rollout.entered_at >= ended_at:
            return False
        since = max(rollout.entered_at, ended_at - HOUR)
        moved, active = guard_queries.engine_switches(session, since, ended_at, more_than=MOVES_ALLOWED)
    with transaction() as session:
        signals.add_hour(session, SeriesKey(SIGNAL), Counts(moved, active), began_at=ended_at - HOUR, now=now)
    return True


def init_app(app: Flask) -> None:
    """Put the count on the leader's schedule."""
    jobs.run_on_leader(app, LOOK_SECONDS, "count-moves", count)
