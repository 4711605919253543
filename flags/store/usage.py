"""Reports of services on the flags they use."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from control_plane.platform.db.database import dialect_insert, rowcount_of
from flags.models import FlagUsage, ImpactMetric
from flags.usage.buffer import HOUR_SECONDS, Measurement, Report


def add_report(session: Session, report: Report, *, now: datetime) -> None:
    """Add what was reported to what is stored; processes may do so in any order."""
    answers = [{**series._asdict(), "count": count} for series, count in sorted(report.answers.items())]
    if answers:
        statement = dialect_insert(session, FlagUsage.__table__)
        keys = ["flag", "environment", "app_name", "hour", "answer"]
        added = {"count": FlagUsage.count + statement.excluded["count"]}
        session.execute(statement.on_conflict_do_update(index_elements=keys, set_=added), answers)
    _put_measurements(session, report.increments, now=now, add=True)
    _put_measurements(session, report.levels, now=now, add=False)


def usage(session: Session, flag: str, environment: str, *, since: datetime) -> dict[str, dict[str, int]]:
    """Count the answers of `flag` per application since then, by whole hours."""
    query = (
        select(FlagUsage.app_name, FlagUsage.answer, func.sum(FlagUsage.count))
        .where(FlagUsage.flag == flag, FlagUsage.environment == environment, FlagUsage.hour >= _hour(since))
        .group_by(FlagUsage.app_name, FlagUsage.answer)
        .order_by(FlagUsage.app_name, FlagUsage.answer)
    )
    found: dict[str, dict[str, int]] = {}
    for app_name, answer, count in session.execute(query):
        found.setdefault(app_name, {})[answer] = int(count)
    return found


class LastRequest(NamedTuple):
    """The last hour in which a flag was reported, where and by whom."""

    at: datetime
    environments: tuple[str, ...]
    applications: tuple[str, ...]


def last_requests(session: Session, *, since: datetime) -> dict[str, LastRequest]:
    """Return every flag that some SDK reported since then, whether or not there is such a flag."""
    series = FlagUsage.flag, FlagUsage.environment, FlagUsage.app_name
    query = select(*series, func.max(FlagUsage.hour)).where(FlagUsage.hour >= _hour(since)).group_by(*series)
    found: dict[str, list[tuple[str, str, int]]] = {}
    for flag, environment, app_name, hour in session.execute(query):
        found.setdefault(flag, []).append((environment, app_name, hour))
    return {flag: _last_request(rows) for flag, rows in found.items()}


def measurements(session: Session, environment: str) -> list[tuple[Measurement, float]]:
    """Return everything measured in `environment`, added up since the beginning."""
    query = select(ImpactMetric).where(ImpactMetric.environment == environment)
    rows = session.scalars(query.order_by(ImpactMetric.name, ImpactMetric.labels, ImpactMetric.part))
    return [(Measurement(row.name, row.environment, row.labels, row.part, row.type), row.value) for row in rows]


def delete_usage(session: Session, *, before: datetime) -> int:
    """Forget the answers of the hours before then; returns how many series."""
    return rowcount_of(session, delete(FlagUsage).where(FlagUsage.hour < _hour(before)))


def _put_measurements(session: Session, measured: Mapping[Measurement, float], *, now: datetime, add: bool) -> None:
    rows = [{**series._asdict(), "value": value, "updated_at": now} for series, value in sorted(measured.items())]
    if rows:
        statement = dialect_insert(session, ImpactMetric.__table__)
        value = ImpactMetric.value + statement.excluded.value if add else statement.excluded.value
        changed = {"value": value, "updated_at": statement.excluded.updated_at}
        keys = ["name", "environment", "labels", "part"]
        session.execute(statement.on_conflict_do_update(index_elements=keys, set_=changed), rows)


def _last_request(rows: list[tuple[str, str, int]]) -> LastRequest:
    environments, applications, hours = zip(*rows, strict=True)
    at = datetime.fromtimestamp(max(hours) * HOUR_SECONDS, UTC)
    return LastRequest(at, tuple(sorted(set(environments))), tuple(sorted(set(applications))))


def _hour(at: datetime) -> int:
    return int(at.timestamp()) // HOUR_SECONDS
