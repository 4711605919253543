"""The audit trail: append-only, each entry sealed by a hash over itself and the entry before."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from control_plane.platform.announce import serialise
from control_plane.platform.models import AuditEntry

GENESIS = "0" * 64
BATCH = 1000


@dataclass(frozen=True, slots=True)
class Verification:
    """How many entries were checked, and the id of the first one that does not fit, if any."""

    checked: int
    first_broken: int | None

    @property
    def intact(self) -> bool:
        return self.first_broken is None


def record(
    session: Session,
    *,
    now: datetime,
    actor: str,
    action: str,
    subject: str,
    reason: str,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Append one entry in the caller's transaction; nothing is recorded when that rolls back."""
    serialise(session)  # two writers must not both continue from the same predecessor
    previous = session.scalar(select(AuditEntry.hash).order_by(AuditEntry.id.desc()).limit(1)) or GENESIS
    entry = AuditEntry(
        at=now,
        actor=actor,
        action=action,
        subject=subject,
        before=_plain(before),
        after=_plain(after),
        reason=reason,
        previous_hash=previous,
    )
    entry.hash = _seal(entry)
    session.add(entry)
    session.flush()


def verify(session: Session) -> Verification:
    """Recompute the whole chain, in batches; the first entry that was changed, removed or inserted is named."""
    checked, previous = 0, GENESIS
    for entry in every(session):
        if entry.previous_hash != previous or entry.hash != _seal(entry):
            return Verification(checked, entry.id)
        checked, previous = checked + 1, entry.hash
    return Verification(checked, None)


def every(session: Session) -> Iterator[AuditEntry]:
    """Every entry, oldest first, in batches."""
    last_id = 0
    while batch := session.scalars(
        select(AuditEntry).where(AuditEntry.id > last_id).order_by(AuditEntry.id).limit(BATCH)
    ).all():
        yield from batch
        last_id = batch[-1].id
        session.expunge_all()


def latest(
    session: Session, *, subject: str | None = None, limit: int = 50, before_id: int | None = None
) -> list[AuditEntry]:
    """The newest entries first, of one subject or of all, older than `before_id`."""
    query = select(AuditEntry).order_by(AuditEntry.id.desc()).limit(limit)
    if subject is not None:
        query = query.where(AuditEntry.subject == subject)
    if before_id is not None:
        query = query.where(AuditEntry.id < before_id)
    return list(session.scalars(query))


def document(entry: AuditEntry) -> dict[str, Any]:
    """An entry as JSON."""
    return {
        "id": entry.id,
        "at": entry.at.isoformat(),
        "actor": entry.actor,
        "action": entry.action,
        "subject": entry.subject,
        "before": entry.before,
        "after": entry.after,
        "reason": entry.reason,
        "hash": entry.hash,
    }


def _seal(entry: AuditEntry) -> str:
    fields = [
        entry.previous_hash,
        entry.at.isoformat(timespec="microseconds"),
        entry.actor,
        entry.action,
        entry.subject,
        entry.before,
        entry.after,
        entry.reason,
    ]
    return hashlib.sha256(json.dumps(fields, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _plain(value: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What the JSON column will give back, so that the seal holds after a round trip."""
    if value is None:
        return None
    plain: dict[str, Any] = json.loads(json.dumps(value, default=str))
    return plain
