"""The audit trail searched: by flag, person, action, subject and time, newest first, page by page or all of it."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Select, func, literal, select, tuple_, union_all
from sqlalchemy.orm import Session

from control_plane.platform.auth.audit import AuditEntry
from control_plane.platform.db.database import UtcDateTime, read_only
from control_plane.platform.models import AuditEntryRow
from control_plane.rollout_names import SEPARATOR

PAGE_ENTRIES = 50
PAGE_ENTRIES_MAX = 500
EXPORT_BATCH = 1_000
SUBJECTS_OF_FLAG = ("rollout", "flag")
"""The kinds of subject that are about one flag, as `kind:name`."""

COLUMNS = [AuditEntryRow.__table__.c[field.name] for field in fields(AuditEntry)]


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """The entries that are wanted; an empty field asks for nothing. `until` itself is not included."""

    flag: str = ""
    actor: str = ""
    action: str = ""
    subject: str = ""
    since: datetime | None = None
    until: datetime | None = None

    @property
    def is_empty(self) -> bool:
        """Return whether every entry is wanted."""
        return self == AuditFilter()


def page(
    session: Session, wanted: AuditFilter, *, before: int | None = None, limit: int = PAGE_ENTRIES
) -> list[AuditEntry]:
    """Return the newest entries first, those that come after the entry `before` in that order."""
    conditions = _conditions(wanted, _place(session, before))
    if not wanted.flag:
        return [AuditEntry(*row) for row in session.execute(_ordered(conditions).limit(limit))]
    # One index walk for each subject: an OR would sort all entries of the flag before it takes the first.
    subjects = [*(f"{kind}:{wanted.flag}" for kind in SUBJECTS_OF_FLAG), *_of_single_environments(session, wanted.flag)]
    parts = [_ordered([*conditions, AuditEntryRow.subject == each]).limit(limit).subquery() for each in subjects]
    found = union_all(*(select(part) for part in parts)).subquery()
    query = select(found).order_by(found.c.at.desc(), found.c.id.desc()).limit(limit)
    return [AuditEntry(*row) for row in session.execute(query)]


def every(wanted: AuditFilter) -> Iterator[AuditEntry]:
    """Return all of it in batches, each in a transaction of its own: an export may take minutes to be fetched."""
    before: int | None = None
    while True:
        with read_only() as session:
            batch = page(session, wanted, before=before, limit=EXPORT_BATCH)
        yield from batch
        if len(batch) < EXPORT_BATCH:
            return
        before = batch[-1].id


def names(session: Session, column: Literal["actor", "action", "subject"], *, limit: int) -> list[str]:
    """Return the first different values of a column by name, one index probe for each."""
    field = AuditEntryRow.__table__.c[column]
    first = select(func.min(field).label("name"), literal(1).label("number")).cte("names", recursive=True)
    following = select(func.min(field)).where(field > first.c.name).scalar_subquery()
    rest = select(following, first.c.number + 1).where(first.c.name.is_not(None), first.c.number < limit)
    walk = first.union_all(rest)
    return list(session.scalars(select(walk.c.name).where(walk.c.name.is_not(None)).order_by(walk.c.name)))


def _of_single_environments(session: Session, flag: str) -> list[str]:
    """Return the subjects of all rollouts that the flag has had in single environments, each of which was planned."""
    prefix = f"rollout:{flag}{SEPARATOR}"
    planned = AuditEntryRow.action == "rollout.plan", AuditEntryRow.subject.startswith(prefix, autoescape=True)
    found = session.scalars(select(AuditEntryRow.subject).where(*planned).distinct().order_by(AuditEntryRow.subject))
    return [subject for subject in found if subject.startswith(prefix)]


def _place(session: Session, before: int | None) -> tuple[datetime, int] | None:
    if before is None:
        return None
    found = session.execute(select(AuditEntryRow.at, AuditEntryRow.id).where(AuditEntryRow.id == before)).first()
    if found:
        return found.at, found.id
    # Of an entry that is not there, the next older one is where its reader stood.
    older = select(AuditEntryRow.at).where(AuditEntryRow.id < before).order_by(AuditEntryRow.id.desc()).limit(1)
    at = session.scalar(older)
    return (at, before) if at else (datetime.min.replace(tzinfo=UTC), 0)


def _conditions(wanted: AuditFilter, place: tuple[datetime, int] | None) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [
        getattr(AuditEntryRow, name) == value
        for name, value in (("actor", wanted.actor), ("action", wanted.action), ("subject", wanted.subject))
        if value
    ]
    if wanted.since:
        found.append(AuditEntryRow.at >= wanted.since)
    if wanted.until:
        found.append(AuditEntryRow.at < wanted.until)
    if place:
        found.append(
            tuple_(AuditEntryRow.at, AuditEntryRow.id) < tuple_(literal(place[0], UtcDateTime()), literal(place[1]))
        )
    return found


def _ordered(conditions: list[ColumnElement[bool]]) -> Select[*tuple[Any, ...]]:
    return select(*COLUMNS).where(*conditions).order_by(AuditEntryRow.at.desc(), AuditEntryRow.id.desc())
