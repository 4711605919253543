"""The flags as this process knows them: immutable, one per revision, never older than the transaction that asks.

Loading is done once per revision; an evaluation in a transaction costs one small query for revision and lease, so
a rollback is in force for every consumption that begins after its commit.
"""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import NamedTuple

from flask import Flask
from sqlalchemy.orm import Session

from control_plane.audiences.exposure import PRODUCTION
from control_plane.core.phases import Rollout, exposure_at, phase_names
from control_plane.experiments.credits import FLAG
from control_plane.platform.extensions import AppState
from control_plane.platform.settings import SETTINGS, Settings
from control_plane.rollout_names import environment_of, flag_of
from control_plane.rollouts import store as rollout_store
from flags import store
from flags.evaluation.evaluator import Evaluation, evaluate
from flags.evaluation.rollout_flag import EvaluationContext, Override, RolloutFlag
from flags.store import Effect

RoutingState = tuple[int, datetime | None]
"""The revision of the flags, and when the guard's lease ends."""
ENVIRONMENTS_MAX = 50
"""So many are kept in memory: whoever asks for an explanation names an environment, and any name will do."""
NEVER_BEATEN = datetime.min.replace(tzinfo=UTC)
"""The guard's lease before its first heartbeat: in production nobody is exposed unwatched."""


class UnknownFlagError(LookupError):
    """No such flag. A typo must never answer "off"."""

    def __init__(self, key: str) -> None:
        super().__init__(f"There is no flag {key!r}; check its spelling.")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All flags under a rollout in one environment, as of one revision."""

    revision: int
    environment: str
    flags: dict[str, RolloutFlag]

    def find(self, key: str) -> RolloutFlag:
        """Return the flag called `key`; raises UnknownFlagError."""
        if key not in self.flags:
            raise UnknownFlagError(key)
        return self.flags[key]


NOTHING_YET = Snapshot(-1, "", {})


class Snapshots:
    """The newest snapshot of each environment."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._newest: dict[str, Snapshot] = {}
        self._leased: tuple[Snapshot, datetime, Snapshot] = (NOTHING_YET, NEVER_BEATEN, NOTHING_YET)
        """A snapshot, and the same with the lease that it was last asked for with: one for all within a second."""
        self._beta: tuple[int, frozenset[str]] = (-1, frozenset())
        self._loading = threading.Lock()

    def current(self, session: Session, environment: str) -> Snapshot:
        """Return the flags as the session's transaction sees them, the guard's lease included."""
        return self.at(session, environment, store.routing_state(session))

    def at(self, session: Session, environment: str, state: RoutingState) -> Snapshot:
        """Return the snapshot for a revision and lease that were read already."""
        revision, guard_expires_at = state
        snapshot = self._newest.get(environment)
        if snapshot is None or snapshot.revision != revision:
            snapshot = self._load(session, environment, revision)
        if environment != PRODUCTION or guard_expires_at is None:
            return snapshot
        # Read once, as a whole: another thread may put another one there between two reads.
        since, until, leased = self._leased
        if since is not snapshot or until != guard_expires_at:
            flags = {key: replace(flag, guard_expires_at=guard_expires_at) for key, flag in snapshot.flags.items()}
            leased = replace(snapshot, flags=flags)
            self._leased = snapshot, guard_expires_at, leased
        return leased

    def flags(
        self, session: Session, environment: str, revision: int, *, archived: bool = True
    ) -> dict[str, RolloutFlag]:
        """Return every flag under a rollout, read afresh but for the beta allowlist where nothing was announced of it.

        Those that are `archived` are off for everybody; SDKs are not told of them.
        """
        beta, overrides = self._members(session), store.overrides_by_flag(session)
        found = {}
        for key, rollout in _deciding(rollout_store.load_all(session), environment).items():
            if archived or not rollout.archived:
                denied, allowed = (overrides.get((key, each), {}) for each in (Effect.DENY, Effect.ALLOW))
                people = _NamedPeople(beta, denied, allowed)
                flag = _flag(rollout, environment, revision, people)
                found[key] = replace(flag, environment_switch=self._environment_switch(key))
        return found

    def _load(self, session: Session, environment: str, revision: int) -> Snapshot:
        # The revision was read first: what is loaded now is at least that new, and the next look reloads if newer.
        flags = self.flags(session, environment, revision)
        snapshot = Snapshot(revision, environment, flags)
        with self._loading:
            known = self._newest.get(environment)
            # A slower thread must not put back an older one.
            if known is None or known.revision <= revision:
                self._make_room(environment)
                self._newest[environment] = snapshot
        return snapshot

    def _make_room(self, environment: str) -> None:
        """Drop the one that was loaded first, and never this process's own."""
        if environment not in self._newest and len(self._newest) >= ENVIRONMENTS_MAX:
            del self._newest[next(each for each in self._newest if each != self._settings.environment)]

    def _members(self, session: Session) -> frozenset[str]:
        revision = store.directory_revision(session)
        known, members = self._beta
        while known != revision:
            # Read once more if somebody joined meanwhile: two processes must not mean different lists by one revision.
            known, members = revision, store.beta_members(session)
            revision = store.directory_revision(session)
        self._beta = known, members
        return members

    def _environment_switch(self, key: str) -> bool | None:
        return self._settings.environment_switch if key == FLAG else None


SNAPSHOTS = AppState[Snapshots]("flag_snapshots")


class _NamedPeople(NamedTuple):
    """The people whom a flag treats by name."""

    beta: frozenset[str]
    denied: Mapping[str, Override]
    allowed: Mapping[str, Override]


def rollout_flag(
    session: Session,
    rollout: Rollout,
    environment: str,
    *,
    revision: int,
    beta: frozenset[str],
    environment_switch: bool | None,
) -> RolloutFlag:
    """Return a rollout with the people it treats by name, ready to evaluate."""
    denied, allowed = (store.overrides(session, flag_of(rollout.flag), each) for each in (Effect.DENY, Effect.ALLOW))
    flag = _flag(rollout, environment, revision, _NamedPeople(beta, denied, allowed))
    return replace(flag, environment_switch=environment_switch)


def _deciding(rollouts: Iterable[Rollout], environment: str) -> dict[str, Rollout]:
    """Return by flag the rollout that decides there: the environment's own before that of all environments."""
    decides: dict[str, Rollout] = {}
    for rollout in rollouts:
        key, own = flag_of(rollout.flag), environment_of(rollout.flag)
        if own == environment or (own is None and key not in decides):
            decides[key] = rollout
    return decides


def _flag(rollout: Rollout, environment: str, revision: int, people: _NamedPeople) -> RolloutFlag:
    return RolloutFlag(
        key=flag_of(rollout.flag),
        environment=environment,
        revision=revision,
        exposure=exposure_at(rollout.plan, rollout.position, environment),  # the latch decides by itself
        new_signups_after=rollout.plan.new_signups_after,
        environment_switch=None,
        latched=rollout.state_reason if rollout.latched_in(environment) else None,
        guard_expires_at=NEVER_BEATEN if environment == PRODUCTION else None,
        denied=people.denied,
        allowed=people.allowed,
        beta=people.beta,
        phase_names=phase_names(rollout.plan, rollout.position),
    )


def evaluate_now(
    session: Session, key: str, context: EvaluationContext, *, now: datetime, state: RoutingState | None = None
) -> tuple[int, Evaluation]:
    """Return the revision, and whether `context` gets the flag `key` here, by what the session's transaction sees.

    `state` is given by whoever has read it in a statement of their own.
    """
    snapshot = SNAPSHOTS.get().at(session, SETTINGS.get().environment, state or store.routing_state(session))
    return snapshot.revision, evaluate(snapshot.find(key), context, now)


def init_app(app: Flask, settings: Settings) -> None:
    """Give the application an empty set of snapshots."""
    SNAPSHOTS.set(app, Snapshots(settings))
