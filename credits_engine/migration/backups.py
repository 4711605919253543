"""Backups on record: made by a person, or by the leader each `BACKUP_HOURS` into `BACKUP_DIR`, the oldest removed."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog
from flask import Flask
from prometheus_client import Counter, Metric
from prometheus_client.core import GaugeMetricFamily
from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.platform import clock, start_checks
from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.observability import telemetry
from control_plane.platform.runtime import jobs
from control_plane.platform.setting_values import SettingsError
from control_plane.platform.settings import current
from credits_engine.migration import backup
from credits_engine.migration.backup import CopyError

SUBJECT = "credits:backup"
ACTOR = "schedule"
LOOK_SECONDS = 300.0
FILE_NAME = "rollout-%Y%m%dT%H%M%SZ.backup"
EARLY = timedelta(seconds=LOOK_SECONDS)
"""A look comes this late at most, so a backup may be this early: a daily one stays at its hour."""

FAILURES = Counter("rollout_backup_failures", "Scheduled backups that could not be made; tried again each 5 minutes.")

log = structlog.get_logger()


def make(path: Path, change: ChangeContext) -> int:
    """Write a backup to `path` and record it; returns its size in bytes. Raises CopyError."""
    backup.backup(current().direct_url, path)
    size = path.stat().st_size
    with transaction() as session:
        audit.record(
            session,
            change,
            action="credits.backup",
            subject=SUBJECT,
            before=None,
            after={"path": str(path), "bytes": size},
        )
    return size


def made_at(session: Session) -> datetime | None:
    """Return when the last backup on record was made."""
    last = next(iter(audit.latest(session, subject=SUBJECT, limit=1)), None)
    if last is None:
        return None
    # A record that was kept over a restore says when the backup itself was made.
    return datetime.fromisoformat((last.after or {}).get("made_at", last.at.isoformat()))


def is_due(times: Iterable[datetime], now: datetime, every: timedelta) -> bool:
    """Return whether the newest of the scheduled backups is as old as it may be; one from the future does not count."""
    newest = max((at for at in times if at <= now), default=None)
    return newest is None or now - newest >= every - EARLY


def outdated(times: Sequence[datetime], count: int) -> list[datetime]:
    """Return the backups beyond the newest `count`."""
    return sorted(times, reverse=True)[count:]


def check(now: datetime) -> None:
    """Make a backup where one is due, then remove what is beyond those to keep."""
    settings = current()
    if not settings.backup_dir:
        return
    folder = Path(settings.backup_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = _scheduled(folder)
        if is_due(found, now, timedelta(hours=settings.backup_hours)):
            path = folder / now.astimezone(UTC).strftime(FILE_NAME)
            size = make(path, ChangeContext(now, ACTOR, f"One each {settings.backup_hours} hours."))
            log.info("backup.made", path=str(path), bytes=size)
            # Only now, so that a failing disk never takes the last good one.
            for at in outdated(list(_scheduled(folder)), settings.backup_count):
                _scheduled(folder)[at].unlink(missing_ok=True)
    except (CopyError, OSError) as error:
        _count_failure(error)


def _count_failure(error: Exception) -> None:
    FAILURES.inc()
    log.error("backup.failed", cause=str(error))


def require_programs() -> None:
    """Raise SettingsError where backups are to be made by a program that is not there."""
    settings = current()
    try:
        if settings.backup_dir:
            backup.require_programs(settings.direct_url)
    except CopyError as error:
        raise SettingsError(f"BACKUP_DIR is set, but no backup can be made: {error}") from error


def collect() -> Iterator[Metric]:
    """Yield the age of the last backup on record."""
    with read_only() as session:
        at = made_at(session)
    if at is not None:
        age = (clock.now() - at).total_seconds()
        yield GaugeMetricFamily("rollout_backup_age_seconds", "Since the last backup on record.", value=age)


def init_app(app: Flask) -> None:
    """Put the backups on the leader's schedule and their age into each scrape."""
    start_checks.register(app, require_programs)
    jobs.run_on_leader(app, LOOK_SECONDS, "back-up", check)
    telemetry.collect_at_scrape(app, collect)


def _scheduled(folder: Path) -> dict[datetime, Path]:
    """Return the backups that the schedule made, by their instant; other files are none of ours."""
    found = {}
    for path in folder.glob("rollout-*.backup"):
        try:
            found[datetime.strptime(path.name, FILE_NAME).replace(tzinfo=UTC)] = path
        except ValueError:
            continue
    return found
