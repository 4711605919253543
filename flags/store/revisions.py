"""The revision of the stored flags and the guard's lease: what decides that flags must be read again."""

from datetime import datetime

from sqlalchemy import Select, func, select, union_all
from sqlalchemy.orm import Session

from control_plane.platform.db.fastpath import CompiledStatement
from control_plane.platform.models import ChangeRow, LeaseRow
from control_plane.platform.runtime import leases
from control_plane.rollouts import TOPIC as ROLLOUT

DIRECTORY = "directory"
FLAG = "flag"
OVERRIDE = "override"
RESTORE = "restore"
ERASURE = "erasure"
TOPICS = (ROLLOUT, OVERRIDE, FLAG, DIRECTORY, RESTORE)
"""The topics whose changes can change what SDKs are given."""
NEWEST_CHANGE = select(func.max(ChangeRow.id)).scalar_subquery()
WATCHED_UNTIL = select(LeaseRow.expires_at).where(LeaseRow.name == leases.GUARD).scalar_subquery()
ROUTING_STATE = CompiledStatement(select(NEWEST_CHANGE.label("revision"), WATCHED_UNTIL.label("watched_until")))


def routing_state(session: Session) -> tuple[int, datetime | None]:
    """Return the revision and the end of the guard's lease, in one round trip.

    Each evaluation must know both afresh.
    """
    revision, expires_at = ROUTING_STATE.fetch_one(session)
    return revision or 0, expires_at


def flags_revision(session: Session) -> int:
    """Return the newest change that can have changed a flag.

    It is the same in every process, and unmoved by all other changes.
    """
    # One look-up in the index (topic, id) each.
    newest = union_all(*map(_newest, TOPICS)).subquery()
    return session.scalar(select(func.max(newest.c.id))) or 0


def directory_revision(session: Session) -> int:
    """Return the newest change of who is on a beta allowlist."""
    return session.scalar(_newest(DIRECTORY)) or 0


def restore_revision(session: Session) -> int:
    """Return the latest restore from a backup: what was read before it may be of a time that never was.

    0 before the first.
    """
    return session.scalar(_newest(RESTORE)) or 0


def forget_revision(session: Session) -> int:
    """Return the latest restore or erasure of a person: of both, who was in the directory may be there no longer."""
    newest = FORGET_REVISIONS.fetch_one(session)
    return max(newest.restored or 0, newest.erased or 0)


def _newest(topic: str) -> Select[int]:
    return select(func.max(ChangeRow.id).label("id")).where(ChangeRow.topic == topic)


FORGET_REVISIONS = CompiledStatement(
    select(
        _newest(RESTORE).scalar_subquery().label("restored"),
        _newest(ERASURE).scalar_subquery().label("erased"),
    )
)
