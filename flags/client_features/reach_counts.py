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

LOOK_SECONDS = 5.0
"""An idle server pays for each look, so there are few: a first count is there within seconds all the same."""
REPEAT_SECONDS = 60.0
"""How often a version is counted again: users come, and are let in or kept out by name, without a new one."""
WANTED_SECONDS = 30.0
"""How long after somebody looked a rollout is still counted; an open page looks every two seconds."""
FORGOTTEN_SECONDS = 3600.0
"""How long a count is kept at which nobody looks: whoever comes back has it at once, and a new one in a moment."""
SLICE_SECONDS = 1.0
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


@dataclass(slots=True)
class _Count:
    """A count that is under way."""

    rollout: Rollout
    flag: RolloutFlag
    users: Iterator[tuple[str, KnownAttributes]]
    known: int = 0
    reached: int = 0

    def take_page(self, now: datetime) -> bool:
        """Evaluate the flag for a page of users; return whether there may be more."""
        page = list(islice(self.users, PAGE))
        self.known += len(page)
        self.reached += sum(evaluate(self.flag, known_context(*user), now).value for user in page)
        return len(page) == PAGE

    def result(self) -> Reach:
        """Return what was counted."""
        return Reach(self.known, self.reached, self.rollout.version, monotonic())


class ReachCounts:
    """The last count of each rollout that somebody looks at in this process."""

    def __init__(self, users: Users) -> None:
        self._users = users
        self._looked_at: dict[str, float] = {}
        self._counted: dict[str, Reach] = {}
        self._under_way: _Count | None = None

    def find(self, rollout: Rollout) -> Reach | None:
        """Return the last count at this version and have it repeated; None before the first, or with nobody known."""
        self._looked_at[rollout.flag] = monotonic()
        found = self._counted.get(rollout.flag)
        return found if found and found.users and found.version == rollout.version else None

    def count(self, now: datetime) -> None:
        """Go on counting the rollouts that somebody has looked at of late, for a moment: a process that stops waits."""
        until = monotonic() + SLICE_SECONDS
        under_way = self._under_way or self._begin()
        while under_way is not None:
            has_more = under_way.take_page(now)
            if not has_more:
                self._counted[under_way.rollout.flag] = under_way.result()
            self._under_way = under_way if has_more else None
            sleep(REST_SECONDS)
            if monotonic() >= until:
                return
            under_way = self._under_way or self._begin()

    def _begin(self) -> _Count | None:
        """Return the next count that is due; what nobody has looked at for long is forgotten."""
        # Copied at once: pages note what they look at meanwhile.
        for name, at in self._looked_at.copy().items():
            unseen = monotonic() - at
            if unseen >= FORGOTTEN_SECONDS:
                self._looked_at.pop(name, None)
                self._counted.pop(name, None)
            if unseen >= WANTED_SECONDS:
                continue
            with read_only() as session:
                rollout = rollout_store.load(session, name)
                flag = _flag(session, rollout) if rollout and self._is_due(rollout) else None
            if rollout and flag:
                return _Count(rollout, flag, self._users())
        return None

    def _is_due(self, rollout: Rollout) -> bool:
        last = self._counted.get(rollout.flag)
        return last is None or last.version != rollout.version or monotonic() - last.counted_at >= REPEAT_SECONDS


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
