"""The end of the audit trail: a record beside it, sealed with a key that the database does not hold.

A chain of hashes shows what was changed in its middle. Whoever cuts off its end, empties it or computes it anew leaves
a chain that fits; only something kept elsewhere tells: this record, whose seal takes `SECRET_KEY`, and the anchors that
people keep outside. A record whose seal does not fit is carried on without one, so that the next entry can't hide it.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from control_plane.platform.models import AuditEntryRow, AuditHeadRow
from control_plane.platform.settings import current

HEAD = 1
PURPOSE = b"audit trail"
UNSEALED = "unsealed"
ADVICE = (
    "Run `rollout audit seal` with the SECRET_KEY or INSTANCE_DIR of the installation; "
    "this process has another key, or none."
)
"""For whoever writes with a key of their own, or without any as from another folder: only here is it known who does."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class End:
    """The end of a trail: the number of entries, and the last one's id and hash."""

    entries: int
    last_id: int
    last_hash: str

    @property
    def anchor(self) -> str:
        """Return the end as one word, to be kept where nobody who can write the database can write."""
        return f"{self.entries}:{self.last_id}:{self.last_hash}"


def extend(session: Session, entries: Sequence[AuditEntryRow], last_id: int) -> None:
    """Let the record end with `entries`, which the caller's transaction has just appended to the entry `last_id`."""
    head = session.get(AuditHeadRow, HEAD, populate_existing=True)
    if head is None:
        return  # removed from outside; made again, it would hide that
    fits = (last_id, entries[0].previous_hash) == (head.last_id, head.last_hash)
    # A trail without a seal is sealed from this entry on. The head says from which, so a seal that was removed shows
    # too.
    if head.seal:
        if head.seal != UNSEALED and not is_sealed(head):
            log.warning("audit.sealed_with_another_key", advice=ADVICE)
        fits = fits and is_sealed(head)
    elif current().secret_key:
        head.sealed_from = entries[0].id
    newest = entries[-1]
    head.entries, head.last_id, head.last_hash = head.entries + len(entries), newest.id, newest.hash
    # A seal that did not fit is not repaired by the next honest entry; only `replace_signature` does that, by a person.
    head.seal = _next_signature(head) if fits else UNSEALED
    session.flush()


def problem(session: Session, found: End) -> str:
    """Describe what is wrong with a trail that ends like `found` and whose chain fits; empty if nothing is."""
    head = session.get(AuditHeadRow, HEAD, populate_existing=True)
    if head is None:
        return "The record of how the trail ends was removed."
    if not head.seal:
        return "It is not sealed yet, which its next entry does; of one that was sealed before, the seal was removed."
    if not current().secret_keys:
        return (
            "Whether the record of how the trail ends is sealed can't be told without a key: "
            "set SECRET_KEY or INSTANCE_DIR to the installation's."
        )
    if not is_sealed(head):
        return (
            "The record of how the trail ends is not sealed with this installation's SECRET_KEY: "
            "it was changed from outside, or something was written with another key."
        )
    if found != _end(head):
        return f"{head.entries:,} entries were written and {found.entries:,} are here, or the last one is another."
    return ""


def sealed_from(session: Session) -> int:
    """Return the first entry that was sealed when it was written; 0 where none is yet."""
    return session.scalar(select(AuditHeadRow.sealed_from)) or 0


def read(session: Session) -> End | None:
    """Return the end as the record has it; None where it was removed."""
    head = session.get(AuditHeadRow, HEAD, populate_existing=True)
    return _end(head) if head else None


def sealed_end(session: Session) -> End | None:
    """Return the end as the record has it, if its seal says that nobody but this program wrote it."""
    head = session.get(AuditHeadRow, HEAD, populate_existing=True)
    return _end(head) if head and is_sealed(head) else None


def replace_signature(session: Session, found: End) -> None:
    """Seal the trail as it is, after somebody has decided that it may be believed from here on."""
    head = session.get(AuditHeadRow, HEAD, populate_existing=True) or AuditHeadRow(id=HEAD)
    head.entries, head.last_id, head.last_hash = found.entries, found.last_id, found.last_hash
    head.sealed_from = found.last_id + 1
    head.seal = _head_signature(head)
    session.add(head)
    session.flush()


def _end(head: AuditHeadRow) -> End:
    return End(head.entries, head.last_id, head.last_hash)


def is_sealed(head: AuditHeadRow) -> bool:
    """Return whether the record was sealed with this installation's key, or with one that was replaced since."""
    return any(hmac.compare_digest(head.seal, _head_signature(head, secret)) for secret in current().secret_keys)


def sign(content: str, secret: str = "") -> str:
    """Sign what only this installation may say of its trail; with its newest secret, unless another is given."""
    # A key of its own, derived from SECRET_KEY: nothing else that is signed with that one can pass for a seal.
    key = hmac.digest((secret or current().signing_key).encode(), PURPOSE, "sha256")
    return hmac.new(key, content.encode(), "sha256").hexdigest()


def _next_signature(head: AuditHeadRow) -> str:
    """Return the seal after an entry that fits; a process without a key leaves a trail that has none as it is."""
    return _head_signature(head) if current().secret_key else ""


def _head_signature(head: AuditHeadRow, secret: str = "") -> str:
    return sign(f"{head.entries} {head.last_id} {head.last_hash} {head.sealed_from}", secret)
