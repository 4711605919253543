"""Writing down what SDKs told this process, together and every few seconds, so that no call waits for the database."""

from datetime import UTC, datetime, timedelta

from flask import Flask

from control_plane.platform.db.database import transaction
from control_plane.platform.extensions import AppState
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import SeriesKey
from control_plane.platform.runtime import jobs
from flags import store
from flags.usage.buffer import UsageBuffer
from flags.usage.connections import Connections
from flags.usage.impact_metrics import OutcomeBuffer

WRITE_SECONDS = 3.0
SWEEP_SECONDS = 600.0
CONNECTION_RETENTION = timedelta(hours=24)
USAGE_RETENTION = timedelta(days=90)
FORGOTTEN_AFTER = timedelta(hours=1)
LONG_AGO = datetime.min.replace(tzinfo=UTC)


class UsageReporter:
    """The reports in memory, and up to when they are written."""

    def __init__(self) -> None:
        self.connections = Connections()
        self.usage = UsageBuffer()
        self.outcomes = OutcomeBuffer(signals.is_reserved)
        self._written_at = LONG_AGO

    def write(self, now: datetime) -> None:
        """Store what is new. What can't be stored is kept for the next time."""
        connections = self.connections.touch()
        fresh = [connection for connection in connections if connection.seen_at > self._written_at]
        report, outcomes = self.usage.take(), self.outcomes.take()
        if not (fresh or report or outcomes):
            return
        try:
            with transaction() as session:
                store.put_connections(session, fresh)
                store.add_report(session, report, now=now)
                for name, count in sorted(outcomes.items()):
                    signals.add(session, SeriesKey(name), count, now)
        except BaseException:
            self.usage.put_back(report)
            self.outcomes.put_back(outcomes)
            raise
        self._written_at = max((connection.seen_at for connection in fresh), default=self._written_at)
        gone = now - FORGOTTEN_AFTER
        self.connections.forget(connection.id for connection in connections if connection.seen_at < gone)


REPORTER = AppState[UsageReporter]("flag_usage_reporter")


def reporter() -> UsageReporter:
    """Return the reporter of the running application."""
    return REPORTER.get()


def sweep(now: datetime) -> None:
    """Forget instances that have gone and usage that is too old to matter."""
    with transaction() as session:
        store.delete_connections(session, before=now - CONNECTION_RETENTION)
        store.delete_usage(session, before=now - USAGE_RETENTION)


def init_app(app: Flask) -> None:
    """Give the application its memory of calls; the schedule writes it down once it runs."""
    made = UsageReporter()
    REPORTER.set(app, made)
    jobs.jobs_of(app).run_on_all(WRITE_SECONDS, "write-flag-reports", made.write)
    jobs.run_on_leader(app, SWEEP_SECONDS, "sweep-flag-reports", sweep)
