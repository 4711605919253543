"""The leader's cache between ticks, so that a second in which little happens reads little.

The database has all of it. Whoever may tick under a term is alone with it: a newer leader has a newer term, and the
older one's heartbeat is refused before it gets here. So what this process wrote under its term is what is stored, until
somebody puts the database back to a backup: then it forgets.
What people decide is read again as soon as anything was announced.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime

from flask import current_app
from sqlalchemy.orm import Session

from alerts import cohort_store, store
from alerts.analysis.rules import Rule
from alerts.cohort_store import CohortUpdate
from alerts.counters import Counters
from alerts.overrides import store as overrides
from alerts.overrides.store import Override
from alerts.store import AlertMemory, AlertStateUpdate
from control_plane.core.phases import Rollout
from control_plane.platform.db.database import after_commit
from control_plane.platform.extensions import AppState
from control_plane.rollouts import store as rollout_store

Memories = Mapping[tuple[str, str], AlertMemory]
"""By name and fingerprint of the alert."""


@dataclass(frozen=True, slots=True)
class ActiveDecisions:
    """Decisions of people at a revision: every rollout, and the overrides in force."""

    revision: int
    rollouts: Sequence[Rollout]
    overrides: Sequence[Override]

    def overridden(self, rollout: Rollout, now: datetime) -> set[str]:
        """Return the alerts that may only notify about this attempt of `rollout` at `now`."""
        ours = (each for each in self.overrides if (each.flag, each.attempt) == (rollout.flag, rollout.attempt))
        return {each.alert for each in ours if now < each.expires_at}


@dataclass(frozen=True, slots=True)
class TickInputs:
    """What a tick judges by, but for the time."""

    rules: Sequence[Rule]
    counters: Counters
    decided: ActiveDecisions
    overridden: Sequence[Set[str]]
    """By rollout."""


@dataclass(slots=True)
class _CachedState:
    term: int
    decided: ActiveDecisions | None = None
    judged: tuple[TickInputs, datetime] | None = None
    """By what was last judged, and when; None where that changed anything, and may go on to."""
    is_settled: bool = True
    memories: dict[tuple[str, int], Memories] = field(default_factory=dict)
    """By flag and attempt."""


QUIET_SECONDS = 5.0
"""Without news an alert changes by time alone: what it counts leaves its window, or it has counted nothing for long."""

CACHED_STATE = AppState[_CachedState | None]("guard_state_cache", lambda: None)


def active_decisions(session: Session, *, now: datetime, term: int, revision: int) -> ActiveDecisions:
    """Return the rollouts and overrides in force, read anew where `revision` is not the one they were read at."""
    cached = _cached(term)
    if cached.decided is not None and cached.decided.revision == revision:
        return cached.decided
    if cached.decided is not None and revision < cached.decided.revision:
        # Revisions only grow, so the database was put back to a backup. An attempt of the same number there, or from
        # there on, is another one than we remember.
        cached.memories.clear()
    found = ActiveDecisions(revision, rollout_store.load_all(session), overrides.unexpired(session, now=now))

    def store() -> None:
        cached.decided = found

    after_commit(session, store)
    return found


def is_news(session: Session, inputs: TickInputs, *, now: datetime, term: int) -> bool:
    """Return whether there is something to judge.

    There is none where the inputs are those of the last judgement, less than QUIET_SECONDS ago, and it changed nothing.
    """
    cached = _cached(term)
    if cached.judged is not None:
        before, at = cached.judged
        if inputs == before and 0 <= (now - at).total_seconds() < QUIET_SECONDS:
            return False
    cached.is_settled = True

    def store() -> None:
        cached.judged = (inputs, now) if cached.is_settled else None

    after_commit(session, store)
    return True


def load(session: Session, rollout: Rollout, *, term: int) -> Memories:
    """Return the cached state of this attempt of `rollout`."""
    found = _cached(term).memories.get((rollout.flag, rollout.attempt))
    return store.memories(session, rollout.flag, attempt=rollout.attempt) if found is None else found


def save(
    session: Session,
    rollout: Rollout,
    before: Memories,
    updates: Iterable[AlertStateUpdate],
    *,
    now: datetime,
    term: int,
) -> None:
    """Store what was judged on top of what was recalled before."""
    updates = list(updates)
    if updates:
        _cached(term).is_settled = False
    store.remember(session, rollout.flag, updates, now=now)
    cohort_store.remember(session, rollout.flag, _cohort_updates(before, updates), now=now)
    after = {**before, **{(each.rule.name, each.rule.fingerprint): each.memory for each in updates}}
    memories, key = _cached(term).memories, (rollout.flag, rollout.attempt)
    memories.pop(key, None)  # forgotten until it is certain that this tick was committed
    after_commit(session, lambda: memories.update({key: after}))


def _cohort_updates(before: Memories, updates: Iterable[AlertStateUpdate]) -> Iterator[CohortUpdate]:
    """Yield what changed of each cohort: most don't in most ticks."""
    for each in updates:
        known = before.get((each.rule.name, each.rule.fingerprint))
        for cohort, memory in each.memory.cohorts.items():
            if known is None or known.cohorts.get(cohort) is not memory:
                yield CohortUpdate(each.rule, each.attempt, cohort, memory)


def _cached(term: int) -> _CachedState:
    found = CACHED_STATE.get()
    if found is None or found.term != term:
        found = _CachedState(term)
        CACHED_STATE.set(current_app, found)
    return found
