"""The audit trail, newest first, with the mark that its chain is whole."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from control_plane.platform import audit
from control_plane.platform.audit import Verification
from control_plane.platform.models import AuditEntry
from dashboards.screens.trail import EntryView, entry_view

PAGE_ENTRIES = 50


@dataclass(frozen=True, slots=True)
class AuditScreen:
    """One page of the trail. `older` is the id to continue before, None on the last page."""

    now: datetime
    subject: str
    actor: str
    subjects: tuple[str, ...]
    actors: tuple[str, ...]
    entries: tuple[EntryView, ...]
    older: int | None
    chain: Verification

    @property
    def filtered(self) -> bool:
        return bool(self.subject or self.actor)


def read(session: Session, *, subject: str, actor: str, before: int | None, now: datetime) -> AuditScreen:
    """A page of the trail, of one subject and one person where they are named."""
    found = _entries(session, subject, actor, before)
    shown = found[:PAGE_ENTRIES]
    return AuditScreen(
        now=now,
        subject=subject,
        actor=actor,
        subjects=tuple(session.scalars(select(AuditEntry.subject).distinct().order_by(AuditEntry.subject).limit(500))),
        actors=tuple(session.scalars(select(AuditEntry.actor).distinct().order_by(AuditEntry.actor).limit(500))),
        entries=tuple(entry_view(entry) for entry in shown),
        older=shown[-1].id if len(found) > PAGE_ENTRIES else None,
        chain=audit.verify(session),
    )


def _entries(session: Session, subject: str, actor: str, before: int | None) -> list[AuditEntry]:
    query = select(AuditEntry).order_by(AuditEntry.id.desc()).limit(PAGE_ENTRIES + 1)
    if subject:
        query = query.where(AuditEntry.subject == subject)
    if actor:
        query = query.where(AuditEntry.actor == actor)
    if before is not None:
        query = query.where(AuditEntry.id < before)
    return list(session.scalars(query))
