"""Report to the guard whether the database still confirms the flags this process serves."""

from dataclasses import dataclass
from datetime import datetime

import structlog
from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from control_plane.platform.db.database import read_only
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import Sample
from control_plane.platform.runtime import jobs
from flags import store
from flags.client_features.refresher import REFRESHER, FeatureCacheRefresher

SIGNAL = "flags_stale"
CONFIRMED_SECONDS = 60.0
CHECK_SECONDS = 5.0

log = structlog.get_logger()


@dataclass(slots=True)
class StalenessSignal:
    """Looks from time to time at what one process serves; one that serves nothing is no evidence."""

    refresher: FeatureCacheRefresher
    due: int = 0
    """The revision that the database had at the last look: a change takes a moment to arrive, but not that long."""

    def check(self, _now: datetime) -> None:
        """Tell the guard whether the flags are confirmed and as new as they must be."""
        cache = self.refresher.cache
        served = [found.feature_set.source.revision for name in cache.environments() if (found := cache.get(name))]
        if not served:
            return
        unconfirmed_seconds = self.refresher.unconfirmed_seconds
        bound = signals.bound_seconds(SIGNAL, CONFIRMED_SECONDS)
        is_stale = unconfirmed_seconds > bound or min(served) < self.due
        if is_stale:
            log.warning("flags.stale", seconds=round(unconfirmed_seconds), revision=min(served), due=self.due)
        signals.record(Sample(SIGNAL, is_stale))
        self._measure()

    def _measure(self) -> None:
        try:
            with read_only() as session:
                self.due = store.flags_revision(session)
        except SQLAlchemyError:
            return  # then the flags are not confirmed either, which is what counts


def init_app(app: Flask) -> None:
    """Let every process look at what it serves."""
    signal = StalenessSignal(REFRESHER.get(app))
    jobs.jobs_of(app).run_on_all(CHECK_SECONDS, "flags-fresh", signal.check)
