"""Keeps this process's feature sets as new as the database: read after each change, made again when time changes them.

The last good feature set stays in force while the database can't be read, and is found on disk by a process that starts
meanwhile. Only the guard's lease takes exposure away without being asked, and that is decided here, from memory.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Protocol

import structlog
from flask import Flask
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from control_plane.audiences.exposure import PRODUCTION
from control_plane.experiments.credits import FLAG
from control_plane.platform import clock
from control_plane.platform.db.database import read_only
from control_plane.platform.extensions import AppState
from control_plane.platform.runtime import change_feed, jobs
from control_plane.platform.settings import Settings, current
from flags import store
from flags.client_features import backup
from flags.client_features import feature_set as feature_sets
from flags.client_features.cache import FeatureCache, FeatureProvider
from flags.client_features.feature_set import FeatureSet, FeatureSource
from flags.client_features.guard_lease import GuardLease
from flags.client_features.prepared_payloads import PreparedPayloads
from flags.snapshot import SNAPSHOTS, Snapshots

CONFIRM_SECONDS = 0.5
REBUILD_SECONDS = 0.5
SAVE_SECONDS = 1.0
STALE_SECONDS = 10.0

log = structlog.get_logger()


class FeatureSetPredicate(Protocol):
    """A condition on a feature set."""

    def __call__(self, feature_set: FeatureSet, now: datetime, /, *, guard_ended_at: datetime | None) -> bool: ...


class FeatureCacheRefresher:
    """The feature sets of one process. `read` gives what one is made from, `folder` is where it is kept."""

    def __init__(self, read: Callable[[Session, str], FeatureSource], lease: GuardLease, folder: Path) -> None:
        self.cache = FeatureCache()
        self._read = read
        self._lease = lease
        self._folder = folder
        self._saved: dict[str, FeatureSource] = {}
        # Two locks, so that a database that hangs can't keep the guard's lease from ending.
        self._loading = threading.Lock()
        self._making = threading.Lock()
        self._confirmed_at = time.monotonic()
        self._behind = True

    def current(self, environment: str) -> PreparedPayloads:
        """Return the payloads of `environment`; read from the database at the first use only."""
        payloads = self.cache.get(environment)
        if payloads is None:
            return self._open(environment)
        return payloads if self._passes(payloads, feature_sets.is_servable) else self._rebuild_due(environment)

    @property
    def stale_seconds(self) -> float:
        """Return the seconds since the database last confirmed what is served, 0 while that is recent."""
        age = self.unconfirmed_seconds
        return age if age > STALE_SECONDS else 0.0

    @property
    def unconfirmed_seconds(self) -> float:
        """Return the seconds since the database last answered, or confirmed a backup."""
        return time.monotonic() - self._confirmed_at

    @property
    def guard_lag_seconds(self) -> float | None:
        """Return the seconds since the guard's last judgement in this process's view; None before the first."""
        return self._lease.age_seconds

    def refresh(self) -> None:
        """Read what has changed; what can't be read stays as it is and is tried again with `confirm`."""
        self._behind = True
        try:
            for environment in self.cache.environments():
                self._load(environment)
        except Exception as error:
            # Whatever it was, the change feed must go on.
            log.warning("flags.not_refreshed", error=type(error).__name__, cause=str(error)[:300])
        else:
            self._behind = False

    def confirm(self, now: datetime) -> None:
        """See whether the database answers and how the guard is doing; catch up where a refresh failed."""
        try:
            with read_only() as session:
                _, expires_at = store.routing_state(session)
        except SQLAlchemyError:
            return  # the change feed has logged that the database can't be reached
        self._lease.observe(expires_at, now)
        self._confirmed_at = time.monotonic()
        if self._behind:
            self.refresh()

    def rebuild_due(self) -> None:
        """Rebuild what time alone has changed; needs no database."""
        for environment in self.cache.environments():
            self._rebuild_due(environment)

    def save_backup(self) -> None:
        """Keep on disk what has changed since the last time, and note what is still confirmed."""
        for environment in self.cache.environments():
            payloads = self.cache.get(environment)
            if payloads is None or self.stale_seconds:
                continue
            source = payloads.feature_set.source
            if self._saved.get(environment) != source:
                backup.save(self._folder, source)
                self._saved[environment] = source
            backup.confirm(self._folder, environment)

    def _open(self, environment: str) -> PreparedPayloads:
        """Begin to serve an environment: as the database has it, else as it was kept."""
        try:
            return self._load(environment)
        except SQLAlchemyError:
            found = backup.load(self._folder, environment)
            if found is None:
                raise
        # Another thread may have reached the database meanwhile; what it read is newer than any backup.
        with self._loading:
            if (payloads := self.cache.get(environment)) is not None:
                return payloads
            age_seconds = (clock.now() - found.confirmed_at).total_seconds()
            # At least STALE_SECONDS old, so that answers from a backup carry their age from the first one on.
            self._confirmed_at = min(self._confirmed_at, time.monotonic() - max(age_seconds, STALE_SECONDS))
            self._behind = True
            log.warning("flags.recalled", environment=environment, age_seconds=round(age_seconds))
            return self._put(with_environment_switch(found.source))

    def _load(self, environment: str) -> PreparedPayloads:
        with self._loading:
            payloads = self.cache.get(environment)
            with read_only() as session:
                # Feed, schedule and first requests may come here for one change; whoever waited for the lock finds it
                # done.
                if payloads and store.flags_revision(session) == payloads.feature_set.source.revision:
                    return payloads
                _, expires_at = store.routing_state(session)
                source = self._read(session, environment)
            self._lease.observe(expires_at, clock.now())
            return self._put(source)

    def _put(self, source: FeatureSource) -> PreparedPayloads:
        with self._making:
            return self._make(source, self.cache.get(source.environment))

    def _rebuild_due(self, environment: str) -> PreparedPayloads:
        with self._making:
            before = self.cache.get(environment)
            assert before is not None
            return (
                before
                if self._passes(before, feature_sets.is_current)
                else self._make(before.feature_set.source, before)
            )

    def _make(self, source: FeatureSource, before: PreparedPayloads | None) -> PreparedPayloads:
        known = before.feature_set if before else None
        guard_ended_at = self._guard_ended_at(source.environment)
        feature_set = feature_sets.build(source, clock.now(), guard_ended_at=guard_ended_at, before=known)
        if known is None or known.tag != feature_set.tag:
            log.info("flags.published", environment=source.environment, feature_set=feature_set.tag)
        if feature_set.unsent != (known.unsent if known else 0):
            log.warning("flags.overrides_not_sent", environment=source.environment, users=feature_set.unsent)
        return self.cache.set(feature_set)

    def _passes(self, payloads: PreparedPayloads, question: FeatureSetPredicate) -> bool:
        feature_set = payloads.feature_set
        return question(feature_set, clock.now(), guard_ended_at=self._guard_ended_at(feature_set.environment))

    def _guard_ended_at(self, environment: str) -> datetime | None:
        return self._lease.expired_at if environment == PRODUCTION else None


def read_source(snapshots: Snapshots, session: Session, environment: str) -> FeatureSource:
    """Return the flags of `environment`. Two processes that read the same revision read the same."""
    revision = -1
    while revision != (newest := store.flags_revision(session)):
        # Not every database shows one instant to several statements: read again if something was changed meanwhile.
        revision = newest
        source = FeatureSource(
            environment=environment,
            revision=revision,
            rollout_flags=snapshots.flags(session, environment, revision, archived=False),
            definitions=tuple(store.definitions(session, environment)),
            segments=tuple(store.segments(session, environment)),
        )
    return source


def with_environment_switch(source: FeatureSource) -> FeatureSource:
    """Apply this process's own environment variable to a backup of an earlier process."""
    switch = current().environment_switch
    rollout_flags = {
        key: replace(flag, environment_switch=switch) if key == FLAG else flag
        for key, flag in source.rollout_flags.items()
    }
    return replace(source, rollout_flags=rollout_flags)


REFRESHER = AppState[FeatureCacheRefresher]("feature_cache_refresher")
FEATURE_PROVIDER = AppState[FeatureProvider]("feature_provider")
"""Whichever keeps the served feature sets new: the refresher here, upstream in a relay."""


def feature_provider() -> FeatureProvider:
    """Return what gives the feature sets of the running application."""
    return FEATURE_PROVIDER.get()


def init_app(app: Flask, settings: Settings) -> None:
    """Give the application its feature sets; feed and schedule keep them new once they run."""
    lease = GuardLease(settings.guard_lease_seconds)
    made = FeatureCacheRefresher(partial(read_source, SNAPSHOTS.get(app)), lease, settings.flags_backup_dir)
    REFRESHER.set(app, made)
    FEATURE_PROVIDER.set(app, made)
    change_feed.FEED.get(app).subscribe(lambda _revision: made.refresh())
    schedule = jobs.jobs_of(app)
    schedule.run_on_all(CONFIRM_SECONDS, "confirm-flags", made.confirm)
    schedule.run_on_all(REBUILD_SECONDS, "rebuild-due-flags", lambda _now: made.rebuild_due(), alone=True)
    schedule.run_on_all(SAVE_SECONDS, "keep-flags", lambda _now: made.save_backup())
