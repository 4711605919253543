"""Work of the leader: give back what forgotten reservations hold, and journal what packs lost when they expired."""

from datetime import datetime

from flask import Flask

from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.runtime import jobs
from credits_engine.administration import top_ups
from credits_engine.operations import reservations
from credits_engine.store import packs
from credits_engine.store.reservations import overdue

SWEEP_SECONDS = 5.0
PACKS_SECONDS = 10.0
PAGE = 200


def sweep(now: datetime) -> int:
    """Expire overdue reservations, each in a transaction of its own; returns how many were given back.

    At most a page of them at a time, so that one run never keeps the schedule waiting.
    """
    with read_only() as session:
        found = overdue(session, now, most=PAGE)
    expired = 0
    for user_id, key in found:
        with transaction() as session:
            expired += reservations.expire(session, user_id, key, now=now) is not None
    return expired


def sweep_packs(now: datetime) -> int:
    """Journal expired packs, each in a transaction of its own; returns how many. Nobody can spend them meanwhile."""
    with read_only() as session:
        found = packs.overdue(session, now, most=PAGE)
    expired = 0
    for user_id, pack_id in found:
        with transaction() as session:
            expired += top_ups.expire(session, user_id, pack_id, now=now) is not None
    return expired


def init_app(app: Flask) -> None:
    """Put the sweeping on the leader's schedule."""
    jobs.run_on_leader(app, SWEEP_SECONDS, "expire-reservations", sweep)
    jobs.run_on_leader(app, PACKS_SECONDS, "expire-packs", sweep_packs)
