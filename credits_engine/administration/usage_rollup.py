"""Work of the leader: add journal rows up to days, so that looking at a month reads no month of the journal."""

from collections.abc import Callable
from datetime import datetime

from flask import Flask
from sqlalchemy.orm import Session

from control_plane.platform.db.database import transaction
from control_plane.platform.runtime import jobs
from credits_engine.store import account_usage, running_totals, usage

EVERY_SECONDS = 60.0
STEPS_MAX = 40
"""At most so many steps a time, each a transaction: an old journal is caught up with and holds nobody up."""


def roll_up_usage() -> int:
    """Bring the days up to where the journal is complete; returns up to which row they go."""
    return _catch_up(usage.roll_up)


def roll_up_accounts() -> int:
    """Do the same for usage by account."""
    return _catch_up(account_usage.roll_up)


def _catch_up(step: Callable[[Session], int]) -> int:
    reached = -1
    for _ in range(STEPS_MAX):
        with transaction() as session:
            checkpoint = step(session)
        # On PostgreSQL the first step sets the checkpoint, and the second one, where nobody holds it up, adds.
        if reached >= 0 and checkpoint - reached < running_totals.ROWS_AT_ONCE:
            return checkpoint
        reached = checkpoint
    return reached


def init_app(app: Flask) -> None:
    """Put it on the leader's schedule."""
    jobs.run_on_leader(app, EVERY_SECONDS, "add-up-usage", _roll_up)


def _roll_up(_now: datetime) -> None:
    roll_up_usage()
    roll_up_accounts()
