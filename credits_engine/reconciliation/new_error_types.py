"""Work of the leader: look for errors of v2's whose type legacy has never shown, by what the journal says of both.

Such an error is no matter of a rate: something in v2 goes wrong in a way that nobody knew.
"""

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from flask import Flask

from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import read_only
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import Sample
from control_plane.platform.runtime import jobs
from control_plane.rollouts import store as rollout_store
from credits_engine.engines.decisions import EngineName
from credits_engine.store import guard_queries

SIGNAL = "credit_new_error_type"
LOOK_SECONDS = 5.0
RECENT = timedelta(minutes=10)
FIRST_PAGE, PAGE = 10_000, 500
"""How many errors of each kind are read: more the first time, as this process knows of none yet."""
TYPE = re.compile(r"(\w+)(: |$)", re.ASCII)
UNSOUND = "unsound answer"

log = structlog.get_logger()


@dataclass(slots=True)
class NewErrorTypes:
    """Looks from time to time, and remembers every type of error that legacy has shown meanwhile."""

    known: set[str] = field(default_factory=set)
    page: int = FIRST_PAGE

    def check(self, now: datetime) -> list[str]:
        """Tell the guard whether v2 has lately failed in a new way, in this step; returns the new types."""
        with read_only() as session:
            rollout = rollout_store.load(session, FLAG)
            if rollout is None:
                return []
            found = guard_queries.failures(session, most=self.page)
        self.page = PAGE
        since = max(rollout.entered_at, now - RECENT)
        self.known |= {type_of(each.error) for each in found if each.engine is EngineName.LEGACY}
        of_v2 = {type_of(e.error) for e in found if e.engine is EngineName.V2 and e.occurred_at >= since}
        fresh = sorted(of_v2 - self.known)
        if fresh:
            log.error("credits.error_new_in_v2", types=fresh)
        signals.record(Sample(SIGNAL, bad=bool(fresh)))
        return fresh


def type_of(error: str) -> str:
    """Return the type of an error as the journal words it: Python's name, PostgreSQL's code, or no decision at all."""
    match = TYPE.match(error)
    return match[1] if match else UNSOUND


def init_app(app: Flask) -> None:
    """Put the look on the leader's schedule."""
    jobs.run_on_leader(app, LOOK_SECONDS, "new-errors", NewErrorTypes().check)
