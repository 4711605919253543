"""The audit trail: append-only, each entry sealed by a hash over itself and the entry before.

Where it must end is kept beside it, sealed with a key (`audit_head`): a chain alone can't tell that its end is missing.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.platform.auth import audit_head
from control_plane.platform.auth.audit_head import End
from control_plane.platform.models import AuditEntry
from control_plane.platform.problems import Problem
from control_plane.platform.runtime.change_feed import lock_commit_order

GENESIS = "0" * 64
NOWHERE = End(0, 0, GENESIS)
BATCH = 1000


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of a check: the number of entries, and the id of the first one that does not fit."""

    checked: int
    first_broken: int | None
    problem: str = ""
    end: End = NOWHERE

    @property
    def intact(self) -> bool:
        return self.first_broken is None and not self.problem


@dataclass(frozen=True, slots=True)
class Entry:
    """One audited change, to be read."""

    id: int
    at: datetime
    actor: str
    action: str
    subject: str
    before: dict[str, object] | None
    after: dict[str, Any] | None
    reason: str
    hash: str


def record(
    session: Session,
    change: ChangeContext,
    *,
    action: str,
    subject: str,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
) -> None:
    """Append one entry in the caller's transaction; nothing is recorded when that rolls back."""
    lock_commit_order(session)  # two writers must not both continue from the same predecessor
    last_id, last_hash = _newest(session)
    entry = AuditEntry(
        at=change.now,
        actor=change.actor,
        action=action,
        subject=subject,
        before=_plain(before),
        after=_plain(after),
        reason=change.reason,
        previous_hash=last_hash,
    )
    # The id is not sealed: it is not known before the flush, and the order is proved by the previous hash alone.
    entry.hash = _seal(entry)
    session.add(entry)
    session.flush()
    audit_head.extend(session, entry, last_id)


def verify(session: Session) -> Verification:
    """Recompute the whole chain, in batches, and hold its end against what was sealed beside it.

    The first entry that was changed, removed or inserted is named.
    """
    checked, last_id, previous = 0, 0, GENESIS
    for entry in every(session):
        if entry.previous_hash != previous or entry.hash != _seal(entry):
            return Verification(checked, entry.id, end=End(checked, last_id, previous))
        checked, last_id, previous = checked + 1, entry.id, entry.hash
    end = End(checked, last_id, previous)
    return Verification(checked, None, audit_head.problem(session, end), end)


def seal(session: Session, *, now: datetime, actor: str, reason: str) -> None:
    """Seal the trail as it is, and say in it who decided so and what was wrong. Raises Problem without a reason."""
    if not reason.strip():
        raise Problem(422, "REASON_REQUIRED", "Say why: a reason is required.")
    lock_commit_order(session)
    found = verify(session)
    count = session.scalar(select(func.count()).select_from(AuditEntry)) or 0
    audit_head.replace_seal(session, End(count, *_newest(session)))
    after = {"entries": count, "first_broken": found.first_broken, "problem": found.problem}
    record(session, ChangeContext(now, actor, reason.strip()), action="audit.seal", subject="audit", after=after)


def every(session: Session) -> Iterator[AuditEntry]:
    """Every entry, oldest first, in batches."""
    last_id = 0
    while batch := session.scalars(
        select(AuditEntry).where(AuditEntry.id > last_id).order_by(AuditEntry.id).limit(BATCH)
    ).all():
        yield from batch
        last_id = batch[-1].id
        # The session would otherwise keep every entry of the trail in memory.
        session.expunge_all()


def latest(
    session: Session,
    *,
    subject: str | None = None,
    actor: str | None = None,
    limit: int = 50,
    before_id: int | None = None,
) -> list[Entry]:
    """Return the newest entries first, of one subject or actor or of all, older than `before_id`."""
    columns = [AuditEntry.__table__.c[field.name] for field in fields(Entry)]
    query = select(*columns).order_by(AuditEntry.id.desc()).limit(limit)
    if subject is not None:
        query = query.where(AuditEntry.subject == subject)
    if actor is not None:
        query = query.where(AuditEntry.actor == actor)
    if before_id is not None:
        query = query.where(AuditEntry.id < before_id)
    return [Entry(*row) for row in session.execute(query)]


def subjects(session: Session, *, limit: int) -> list[str]:
    """Return the first subjects by name."""
    return list(session.scalars(select(AuditEntry.subject).distinct().order_by(AuditEntry.subject).limit(limit)))


def actors(session: Session, *, limit: int) -> list[str]:
    """Return the first actors by name."""
    return list(session.scalars(select(AuditEntry.actor).distinct().order_by(AuditEntry.actor).limit(limit)))


def to_json(entry: Entry | AuditEntry) -> dict[str, object]:
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


def _newest(session: Session) -> tuple[int, str]:
    """Id and hash of the last entry, or what stands for them before the first."""
    found = session.execute(select(AuditEntry.id, AuditEntry.hash).order_by(AuditEntry.id.desc()).limit(1)).first()
    return (found.id, found.hash) if found else (NOWHERE.last_id, NOWHERE.last_hash)


def _seal(entry: AuditEntry) -> str:
    sealed = [
        entry.previous_hash,
        entry.at.isoformat(timespec="microseconds"),
        entry.actor,
        entry.action,
        entry.subject,
        entry.before,
        entry.after,
        entry.reason,
    ]
    return hashlib.sha256(json.dumps(sealed, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _plain(value: Mapping[str, object] | None) -> dict[str, object] | None:
    """Return `value` as the JSON column will give it back, so that the hash holds after a round trip."""
    if value is None:
        return None
    plain: dict[str, object] = json.loads(json.dumps(value, default=str))
    return plain
