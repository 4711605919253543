"""Putting a backup in the place of the database: one transaction, after which nothing goes on by itself.

A backup is of an earlier time, and so is what it says of who may have v2, who is locked out and which tokens count.
From the first instant on that anybody sees the restored database, every rollout is rolled back, consumption is stopped,
and what was decided since to protect users holds. A person decides how to go on.
"""

import hashlib
import json
import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.platform.auth import audit
from control_plane.platform.db.database import after_rollback, db, transaction
from control_plane.platform.extensions import AppState
from control_plane.platform.runtime import change_feed
from credits_engine.migration import database_replacement, erasure_manifest, safeguards
from credits_engine.migration.backup import CopyError
from credits_engine.migration.erasure_manifest import Noted
from credits_engine.store import accounts
from credits_engine.store.accounts import EVERYBODY
from flags import store as flags

ACTION = "credits.restore"
SUBJECT = "credits:restore"
JUMP_MAX = 2**20
"""Up to how far the revisions leap: by chance, so that what a vanished time called so is not called so again."""
ATTEMPTS_MAX = 5

ERASE_AGAIN = AppState[Callable[[Session, Sequence[Noted], ChangeContext], int]]("erase_again")
"""Erases in the restored database whoever was erased since the backup; returns how many of them it held."""


log = structlog.get_logger()


class RestoreRefused(ValueError):  # noqa: N818 - named after what the caller gets
    """The database can't be replaced now; the message says why."""


@dataclass(frozen=True, slots=True)
class Trail:
    """The audit trail of the replaced database: its hashes in order, and the file that keeps it."""

    hashes: tuple[str, ...]
    file: str
    sha256: str


@dataclass(frozen=True, slots=True)
class RestoreResult:
    """The result of a restore, as the audit trail records it."""

    document: dict[str, Any]

    @property
    def cut(self) -> int:
        """Return the number of audit entries of the replaced database that the restored one lacks."""
        return int(self.document["audit_cut"])


def restore(path: Path, *, folder: Path, clock: Callable[[], datetime], actor: str, reason: str) -> RestoreResult:
    """Replace the database by the backup at `path`; `folder` keeps the audit trail that is replaced.

    Raises RestoreRefused while consumption goes on, and CopyError; then nothing was changed.
    """
    for attempt in range(1, ATTEMPTS_MAX + 1):
        db.engine.dispose()
        try:
            with transaction() as session:
                return _restore(session, path, folder=folder, now=clock(), actor=actor, reason=reason)
        except OperationalError as error:
            # Somebody held what we need for too long, or waited for us in a circle.
            if attempt == ATTEMPTS_MAX:
                raise CopyError(f"The database is too busy to be replaced: {error.orig}. Try again.") from error
        finally:
            # The connection has settings of the backup's, and every other one may remember tables that are gone.
            db.engine.dispose()
    raise AssertionError("unreachable")


def _restore(session: Session, path: Path, *, folder: Path, now: datetime, actor: str, reason: str) -> RestoreResult:
    database_replacement.lock(session)
    if accounts.frozen_because(session, EVERYBODY) is None:
        raise RestoreRefused("Consumption goes on; stop it first: rollout credits freeze --everybody --reason …")
    # Read before the database is replaced: who was kept out, latched or revoked since the backup stays so.
    known = safeguards.read(session)
    erased = _erased(session, path.parent, folder)
    trail = _save_trail(session, folder, now)
    database_replacement.replace(session, path)
    as_of = next((entry.at for entry in audit.latest(session, limit=1)), None)
    cut = _cut(session, trail)
    sentence = f"Restored from {path.name}: {reason}"
    jump = 1 + secrets.randbelow(JUMP_MAX)
    # Beyond every revision that was ever announced: a process that slept through the restore must not take a new one
    # for one that it knows.
    change_feed.publish(session, flags.RESTORE, path.name, now=now, beyond=_newest(session, known) + jump)
    carried = safeguards.carry_over(session, known, jump=jump, now=now, actor=actor, reason=sentence)
    accounts.freeze(session, EVERYBODY, now=now, actor=actor, reason=sentence)
    erased_again = ERASE_AGAIN.get()(session, erased, ChangeContext(now, actor, f"Again, after a restore: {reason}"))
    document = {
        "backup": str(path),
        "backup_written_at": datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(),
        "backup_newest_entry_at": as_of.isoformat() if as_of else None,
        "audit_cut": cut,
        "audit_last_hash": trail.hashes[-1] if trail.hashes else None,
        "audit_kept_in": trail.file,
        "audit_kept_sha256": trail.sha256,
        "carried_over": carried,
        "erased_again": erased_again,
    }
    audit.record(session, ChangeContext(now, actor, reason), action=ACTION, subject=SUBJECT, after=document)
    return RestoreResult(document)


def _erased(session: Session, *folders: Path) -> list[Noted]:
    """Return who was erased, as the manifests say, and the database that is replaced, as far as it can be read."""
    try:
        with session.begin_nested():
            of_database = erasure_manifest.of_database(session)
    except SQLAlchemyError:
        of_database = []
    try:
        return erasure_manifest.merged(of_database, *map(erasure_manifest.read, folders))
    except (OSError, ValueError, TypeError, KeyError) as error:
        name = erasure_manifest.FILE_NAME
        raise CopyError(f"{name} can't be read, so erased persons would be back: {error}.") from error


def _newest(session: Session, known: safeguards.Safeguards) -> int:
    return max(change_feed.revision(session), known.revision or 0)


def _save_trail(session: Session, folder: Path, now: datetime) -> Trail:
    """Write the trail that is about to be replaced to a file, an entry a line, oldest first."""
    path = folder / f"audit-{now:%Y%m%dT%H%M%S%fZ}.jsonl"
    hashes: list[str] = []
    digest = hashlib.sha256()
    try:
        number = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        after_rollback(session, path.unlink)
        with os.fdopen(number, "wb") as file, session.begin_nested():
            for entry in audit.every(session):
                line = json.dumps(audit.to_json(entry) | {"previous_hash": entry.previous_hash}).encode() + b"\n"
                file.write(line)
                digest.update(line)
                hashes.append(entry.hash)
            file.flush()
            # On disk before the database that holds the only other copy is replaced.
            os.fsync(file.fileno())
    except OSError as error:
        raise CopyError(f"The audit trail can't be kept in {path}: {error.strerror}.") from error
    except (SQLAlchemyError, ValueError):
        log.warning("restore.trail_unreadable", entries=len(hashes))  # kept as far as it can be read
    return Trail(tuple(hashes), path.name, digest.hexdigest())


def _cut(session: Session, trail: Trail) -> int:
    """Count the entries of the replaced trail that the restored one lacks: all that follow the last common one."""
    databases = {entry.hash for entry in audit.every(session)}
    return sum(each not in databases for each in trail.hashes)
