"""Entries of the audit trail from which a person was erased, and how the chain goes on holding them.

The hash of such an entry stays, so the chain does. What it covers is gone, and so a later entry, that of the erasure,
names the digest of what is left: whoever changes that must change the later entry too, and so the sealed end.
"""

import hashlib
import json
from collections.abc import Mapping

from sqlalchemy import Text, cast, or_, select, update
from sqlalchemy.orm import Session

from control_plane.platform.models import AuditEntryRow
from control_plane.platform.redaction import Redaction

ACTION = "user.erase"
REDACTED = "redacted"
GONE = "(erased)"
BATCH = 1000
WORDS = (AuditEntryRow.subject, AuditEntryRow.before, AuditEntryRow.after, AuditEntryRow.reason)
OF_FLAGS = ("flag:", "rollout:")
"""Subjects that name no user, whatever the flag is called."""

OF_CONTENT = ("flag.", "segment.", "rollout.")
"""Actions whose entries hold what decided who had a flag, for `flags restore`: full of short words and numbers."""


def digests(session: Session) -> dict[int, str]:
    """Return the digest of what is left of each redacted entry, as the newest erasure that touched it says."""
    found: dict[int, str] = {}
    query = select(AuditEntryRow.after).where(AuditEntryRow.action == ACTION).order_by(AuditEntryRow.id)
    for after in session.scalars(query):
        found |= {int(number): digest for number, digest in (after or {}).get(REDACTED, {}).items()}
    return found


def digest(entry: AuditEntryRow) -> str:
    """Hash an entry as it stands, with the place that it has in the chain."""
    content = [
        entry.previous_hash,
        entry.hash,
        entry.at.isoformat(timespec="microseconds"),
        *(entry.actor, entry.action, entry.subject, entry.before, entry.after, entry.reason),
    ]
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def redact(session: Session, redaction: Redaction) -> Mapping[str, str]:
    """Take a person out of every entry but its actor; returns the digests, which the entry of the erasure must name.

    The caller holds the lock on the order of commits, so that no entry is written meanwhile.
    """
    found: dict[str, str] = {}
    last_id = 0
    mentions = or_(
        *(cast(column, Text).contains(each, autoescape=True) for column in WORDS for each in redaction.spellings)
    )
    query = select(AuditEntryRow).where(mentions).order_by(AuditEntryRow.id).limit(BATCH)
    while batch := session.scalars(query.where(AuditEntryRow.id > last_id)).all():
        last_id = batch[-1].id
        for entry in batch:
            if _redact(session, entry, redaction):
                session.refresh(entry)
                found[str(entry.id)] = digest(entry)
        session.expunge_all()
    return found


def _redact(session: Session, entry: AuditEntryRow, redaction: Redaction) -> bool:
    content = redaction.distinct if entry.action.startswith(OF_CONTENT) else redaction
    after = {
        "subject": entry.subject if entry.subject.startswith(OF_FLAGS) else redaction.text(entry.subject),
        "before": content.value(entry.before),
        "after": content.value(entry.after),
        "reason": redaction.text(entry.reason),
    }
    if after["subject"] != entry.subject:
        # An entry about the person: the words of whoever changed something may say anything about them.
        after["reason"] = GONE
    if entry.action == ACTION or all(getattr(entry, name) == value for name, value in after.items()):
        return False
    session.execute(
        update(AuditEntryRow).where(AuditEntryRow.id == entry.id).values(**after, erasure=redaction.pseudonym)
    )
    return True
