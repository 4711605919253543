"""The manifest of erasures beside the backups: whoever was erased since a backup is erased again after its restore.

It holds no name: a keyed digest tells, of somebody whom a restored database holds, that they were erased.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy.orm import Session

from control_plane.platform import private_files
from control_plane.platform.auth import erasures
from control_plane.platform.db.database import read_only
from control_plane.platform.models import ErasureRow
from control_plane.platform.settings import current

FILE_NAME = "erasures.jsonl"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Noted:
    """One erasure as the manifest has it."""

    digest: str
    pseudonym: str
    erased_at: datetime
    actor: str
    reason: str

    def line(self) -> str:
        """Return it as a line of the file."""
        return json.dumps({**asdict(self), "erased_at": self.erased_at.isoformat()})


def of_database(session: Session) -> list[Noted]:
    """Return the erasures that a database knows of."""
    return [_of_row(row) for row in erasures.every(session)]


def latest(session: Session, *, limit: int) -> list[Noted]:
    """Return the last erasures that a database knows of, newest first."""
    return [_of_row(row) for row in erasures.latest(session, limit=limit)]


def read(folder: Path) -> list[Noted]:
    """Return what the manifest in a folder holds; nothing where there is none. Raises ValueError for a damaged one."""
    path = folder / FILE_NAME
    if not path.exists():
        return []
    return [_noted(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def merged(*lists: Iterable[Noted]) -> list[Noted]:
    """Return each erasure once, oldest first."""
    by_pseudonym = {each.pseudonym: each for noted in lists for each in noted}
    return sorted(by_pseudonym.values(), key=lambda each: (each.erased_at, each.pseudonym))


def save(folder: Path, noted: Iterable[Noted]) -> None:
    """Add these to the manifest in a folder, in one piece. Raises OSError, and ValueError for a damaged one."""
    lines = [each.line() for each in merged(read(folder), noted)]
    partial = folder / f"{FILE_NAME}.{os.getpid()}.partial"
    private_files.make_private(partial)
    try:
        partial.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        partial.replace(folder / FILE_NAME)
    finally:
        partial.unlink(missing_ok=True)


def save_all() -> None:
    """Bring the manifest in the instance folder, and that beside the scheduled backups, up to the database."""
    settings = current()
    with read_only() as session:
        noted = of_database(session)
    folders = [settings.instance_dir, *([Path(settings.backup_dir)] if settings.backup_dir else [])]
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            save(folder, noted)
        except (OSError, ValueError) as error:
            # The database knows as well, and the next backup writes it again.
            log.exception("erasure.manifest_failed", folder=str(folder), cause=str(error))


def _of_row(row: ErasureRow) -> Noted:
    return Noted(row.digest, row.pseudonym, row.erased_at, row.actor, row.reason)


def _noted(line: dict[str, Any]) -> Noted:
    return Noted(**{**line, "erased_at": datetime.fromisoformat(line["erased_at"])})
