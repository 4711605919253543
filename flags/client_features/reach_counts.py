"""How many of the known users have a flag, counted in the background for the rollouts that somebody looks at.

A page can't wait for a million evaluations, so it shows the last count and has it repeated.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from time import monotonic, sleep

from flask import Flask
from sqlalchemy.orm import Session

from control_plane.core.phases import Rollout
from control_plane.platform.db.database import read_only
from control_plane.platform.extensions import AppState
from control_plane.platform.runtime import jobs
from control_plane.rollout_names import flag_of
from control_plane.rollouts import store as rollout_store
from flags.evaluation.contexts import ATTRIBUTES, USER_ID, KnownAttributes, known_context
from flags.evaluation.evaluator import evaluate
from flags.evaluation.rollout_flag import RolloutFlag
from flags.snapshot import SNAPSHOTS

LOOK_SECONDS = 1.0
REPEAT_SECONDS = 60.0
"""How often a version is counted again: users come, and are let in or kept out by name, without a new one."""
WANTED_SECONDS = 30.0
"""How long after somebody looked a rollout is still counted; an open page looks every two seconds."""
PAGE, REST_SECONDS = 200, 0.02
"""So many evaluations take some milliseconds, and requests come in between."""

Users = Callable[[], Iterator[tuple[str, KnownAttributes]]]


@dataclass(frozen=True, slots=True)
class Reach:
    """Of `users` who are known `reached` have the flag at this version, as if the guard watches."""

    users: int
    reached: int
    version: int
    counted_at: float
    """By the monotonic clock, in seconds."""

    @property
    def share(self) -> float:
        """Return the part of the known users who have it."""
        return self.reached / self.users


class ReachCounts:
    """The last count of each rollout that somebody looks at in this process."""

    def __init__(self, users: Users) -> None:
        self._users = users
        self._looked_at: dict[str, float] = {}
        self._counted: dict[str, Reach] = {}

    def find(self, rollout: Rollout) -> Reach | None:
        """Return the last count at this version and have it repeated; None before the first, or with nobody known."""
        self._looked_at[rollout.flag] = monotonic()
        found = self._counted.get(rollout.flag)
        return found if found and found.users and found.version == rollout.version else None

    def count(self, now: datetime) -> None:
        """Count the rollouts that somebody has looked at of late, where that is due."""
        present = monotonic()
        # Copied at once: pages note what they look at meanwhile.
        looked_at = self._looked_at.copy()
        wanted = [flag for flag, at in looked_at.items() if present - at < WANTED_SECONDS]
        for flag in wanted:
            with read_only() as session:
                rollout = rollout_store.load(session, flag)
                found = _flag(session, rollout) if rollout and self._is_due(rollout, present) else None
            if rollout and found:
                self._counted[flag] = self._reach(found, rollout.version, now)
        for flag in looked_at.keys() - set(wanted):
            self._looked_at.pop(flag, None)
            self._counted.pop(flag, None)

    def _is_due(self, rollout: Rollout, present: float) -> bool:
        last = self._counted.get(rollout.flag)
        return last is None or last.version != rollout.version or present - last.counted_at >= REPEAT_SECONDS

    def _reach(self, flag: RolloutFlag, version: int, now: datetime) -> Reach:
        known = reached = 0
        users = self._users()
        while page := list(islice(users, PAGE)):
            known += len(page)
            reached += sum(evaluate(flag, known_context(*user), now).value for user in page)
            sleep(REST_SECONDS)
        return Reach(known, reached, version, monotonic())


REACH_COUNTS = AppState[ReachCounts]("reach_counts")


def init_app(app: Flask, users: Users) -> None:
    """Count among `users` once the schedule runs."""
    counts = ReachCounts(users)
    REACH_COUNTS.set(app, counts)
    jobs.jobs_of(app).run_on_all(LOOK_SECONDS, "count-reach", counts.count, alone=True)


def _flag(session: Session, rollout: Rollout) -> RolloutFlag | None:
    """Return the flag where the plan's audiences are; None where they go by what the directory does not know."""
    snapshot = SNAPSHOTS.get().current(session, rollout.plan.environment)
    flag = snapshot.find(flag_of(rollout.flag))
    named = {constraint.context_name for share in flag.exposure.shares for constraint in share.constraints}
    return None if named - {USER_ID, *ATTRIBUTES} else replace(flag, guard_expires_at=None)
