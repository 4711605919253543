"""The last good flags of each environment on disk, for a process that has to start while the database is away.

Two files per environment: a new one is complete and flushed before it takes the place of the old one, which stays
beside it. A file that was torn or changed is known by its checksum and passed over.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import structlog
from pydantic import TypeAdapter, ValidationError

from control_plane.platform import private_files
from flags.client_features.feature_set import FeatureSource

FORMAT = b"rollout flags 1"
SUFFIX, PREVIOUS = ".flags", ".flags.previous"
CODEC = TypeAdapter(FeatureSource)

log = structlog.get_logger()


class CorruptBackupError(ValueError):
    """The content is not what its checksum says."""


@dataclass(frozen=True, slots=True)
class FlagsBackup:
    """The stored flags of an environment, and when the database last confirmed them."""

    source: FeatureSource
    confirmed_at: datetime


def save(folder: Path, source: FeatureSource) -> None:
    """Keep the flags of an environment in place of what was kept before, which becomes the previous."""
    private_files.make_folder(folder)
    path = folder / f"{source.environment}{SUFFIX}"
    content = CODEC.dump_json(source, by_alias=True)
    fresh = folder / f"{source.environment}.{os.getpid()}.new"
    private_files.make_private(fresh)
    with fresh.open("wb") as file:
        file.write(_head(content) + b"\n" + content)
        file.flush()
        # Before the rename, or a power cut may leave a new name on an empty file.
        os.fsync(file.fileno())
    if path.exists():
        path.replace(folder / f"{source.environment}{PREVIOUS}")
    fresh.replace(path)


def confirm(folder: Path, environment: str) -> None:
    """Note that the database still says what is kept; the file's own time carries the note."""
    path = folder / f"{environment}{SUFFIX}"
    if path.exists():
        os.utime(path)


def load(folder: Path, environment: str) -> FlagsBackup | None:
    """Return the backup of `environment`: the newer file if it is whole, else the previous one, else None."""
    for suffix in (SUFFIX, PREVIOUS):
        path = folder / f"{environment}{suffix}"
        source = _read(path)
        if source is not None:
            return FlagsBackup(source, datetime.fromtimestamp(path.stat().st_mtime, UTC))
    return None


def environments(folder: Path) -> Iterator[str]:
    """Yield the environments of which something was kept."""
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        yield path.name.removesuffix(SUFFIX)


def _read(path: Path) -> FeatureSource | None:
    try:
        return CODEC.validate_json(_checked(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, ValidationError) as error:
        log.warning("flags.kept_unusable", path=str(path), error=type(error).__name__, cause=str(error)[:200])
        return None


def _checked(written: bytes) -> bytes:
    head, _, content = written.partition(b"\n")
    if head != _head(content):
        raise CorruptBackupError("The checksum does not fit.")
    return content


def _head(content: bytes) -> bytes:
    return b"%s %s" % (FORMAT, sha256(content).hexdigest().encode())
