"""The audit trail: append-only, each entry sealed by a hash over itself and the entry before.

Where it must end is kept beside it, sealed with a key (`audit_head`): a chain alone can't tell that its end is missing.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.platform.auth import audit_head, audit_redaction
from control_plane.platform.auth.audit_head import End
from control_plane.platform.models import AuditEntry
from control_plane.platform.problems import require_reason
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
    anchors_lost: tuple[End, ...] = ()

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


@dataclass(frozen=True, slots=True)
class Subject:
    """A thing that changed, and its content before and after: one entry of several that are written at once."""

    action: str
    name: str
    before: Mapping[str, object] | None = None
    after: Mapping[str, object] | None = None


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
    record_each(session, change, [Subject(action, subject, before, after)])


def record_each(session: Session, change: ChangeContext, subjects: Sequence[Subject]) -> None:
    """Append one entry for each of these, in the caller's transaction."""
    lock_commit_order(session)  # two writers must not both continue from the same predecessor
    last_id, last_hash = _newest(session)
    entries = list[AuditEntry]()
    for each in subjects:
        entry = AuditEntry(
            at=change.now,
            actor=change.actor,
            action=each.action,
            subject=each.name,
            before=_plain(each.before),
            after=_plain(each.after),
            reason=change.reason,
            previous_hash=entries[-1].hash if entries else last_hash,
        )
        # The id is not sealed: it is not known before the flush, and the order is proved by the previous hash alone.
        entry.hash = _seal(entry)
        entries.append(entry)
    session.add_all(entries)
    session.flush()
    if entries:
        audit_head.extend(session, entries, last_id)


def verify(session: Session, anchors: Collection[End] = ()) -> Verification:
    """Recompute the whole chain, in batches, and hold its end against what was sealed beside it.

    The first entry that was changed, removed or inserted is named, and each of the `anchors` that is not met.
    """
    missing = {anchor.last_id: anchor for anchor in anchors}
    end, broken = follow(session, NOWHERE, missing=missing)
    problem = "" if broken else audit_head.problem(session, end)
    while problem and not broken:
        # On PostgreSQL each query sees its own instant: an entry written between the two is no damage.
        further, broken = follow(session, end, missing=missing)
        if further == end:
            break
        end, problem = further, audit_head.problem(session, further)
    return Verification(end.entries, broken, "" if broken else problem, end, tuple(missing.values()))


def follow(
    session: Session, start: End, *, entries_max: int | None = None, missing: dict[int, End] | None = None
) -> tuple[End, int | None]:
    """Follow the chain from `start` while it fits; returns how far it goes and the first entry that does not fit.

    An end that is met on the way is taken out of `missing`.
    """
    end = start
    redacted = audit_redaction.digests(session)
    for entry in islice(every(session, after=start.last_id), entries_max):
        fits = entry.hash == _seal(entry) or redacted.get(entry.id) == audit_redaction.digest(entry)
        if entry.previous_hash != end.last_hash or not fits:
            return end, entry.id
        end = End(end.entries + 1, entry.id, entry.hash)
        if missing and missing.get(entry.id) == end:
            del missing[entry.id]
    return end, None


def seal(session: Session, *, now: datetime, actor: str, reason: str) -> None:
    """Seal the trail as it is, and say in it who decided so and what was wrong. Raises Problem without a reason."""
    require_reason(reason)
    lock_commit_order(session)
    found = verify(session)
    count = session.scalar(select(func.count()).select_from(AuditEntry)) or 0
    audit_head.replace_seal(session, End(count, *_newest(session)))
    after = {"entries": count, "first_broken": found.first_broken, "problem": found.problem}
    record(session, ChangeContext(now, actor, reason), action="audit.seal", subject="audit", after=after)


def every(session: Session, *, after: int = 0) -> Iterator[AuditEntry]:
    """Yield every entry after the one with this id, oldest first, in batches."""
    last_id = after
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
    action: str | None = None,
    limit: int = 50,
    before_id: int | None = None,
) -> list[Entry]:
    """Return the newest entries first, of one subject, actor or action or of all, older than `before_id`."""
    columns = [AuditEntry.__table__.c[field.name] for field in fields(Entry)]
    query = select(*columns).order_by(AuditEntry.id.desc()).limit(limit)
    if subject is not None:
        query = query.where(AuditEntry.subject == subject)
    if actor is not None:
        query = query.where(AuditEntry.actor == actor)
    if action is not None:
        query = query.where(AuditEntry.action == action)
    if before_id is not None:
        query = query.where(AuditEntry.id < before_id)
    return [Entry(*row) for row in session.execute(query)]


def newest_ids(session: Session, subjects: Sequence[str], *, actions: Collection[str]) -> dict[str, int]:
    """Return the id of the newest entry of one of these actions, of each of the subjects that has any."""
    found: dict[str, int] = {}
    for first in range(0, len(subjects), BATCH):
        query = select(AuditEntry.subject, func.max(AuditEntry.id)).group_by(AuditEntry.subject)
        query = query.where(AuditEntry.action.in_(actions))
        rows = session.execute(query.where(AuditEntry.subject.in_(subjects[first : first + BATCH])))
        found |= {subject: newest for subject, newest in rows}  # noqa: C416 - rows are no pairs to the types
    return found


def to_json(entry: Entry | AuditEntry) -> dict[str, object]:
    """Return an entry as JSON."""
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
    """Return id and hash of the last entry, or what stands for them before the first."""
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
