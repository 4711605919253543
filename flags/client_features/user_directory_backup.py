"""The directory of users on disk, for a process that has to start while the database is away.

One small SQLite file, whatever the database is: it replaces what changed in one piece, so a million users cost a
million lines once and a few lines after that, and a process that dies while it writes leaves what was there before.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import structlog

from control_plane.platform import private_files

NAME = "directory.db"
WAIT_SECONDS = 10.0
"""Several workers keep the same file; each waits for the others."""
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
FORMAT = 1
TABLE = "CREATE TABLE known (user_id TEXT PRIMARY KEY, plan TEXT, signed_up REAL, beta INTEGER) WITHOUT ROWID"

Entry = tuple[str, float | None, bool]
"""Plan, seconds of the epoch at sign-up, beta: the least in which a million of them can be kept."""

log = structlog.get_logger()


def save_all(folder: Path, entries: Mapping[str, Entry]) -> None:
    """Keep exactly these users; only what differs is written. Raises sqlite3.Error or OSError."""
    before = load(folder)
    changed = {user_id: entry for user_id, entry in entries.items() if before.get(user_id) != entry}
    save(folder, changed, gone=before.keys() - entries.keys())


def save(folder: Path, entries: Mapping[str, Entry], *, gone: Iterable[str] = ()) -> None:
    """Keep these besides, in place of what was known of them, and forget whoever is `gone`; all of it or nothing.

    Raises sqlite3.Error or OSError.
    """
    with _open(folder) as connection:
        connection.executemany("DELETE FROM known WHERE user_id = ?", ((user_id,) for user_id in gone))
        rows = ((user_id, *entries[user_id]) for user_id in sorted(entries))
        connection.executemany("INSERT OR REPLACE INTO known VALUES (?, ?, ?, ?)", rows)


def load(folder: Path) -> dict[str, Entry]:
    """Read everyone who was kept; nobody where nothing was, or the file is no longer whole."""
    path = folder / NAME
    if not path.exists():
        return {}
    plans: dict[str, str] = {}
    try:
        with closing(sqlite3.connect(path, timeout=WAIT_SECONDS)) as connection:
            rows = connection.execute("SELECT user_id, plan, signed_up, beta FROM known")
            return {user_id: (plans.setdefault(plan, plan), at, bool(beta)) for user_id, plan, at, beta in rows}
    except sqlite3.Error as error:
        log.warning("directory.kept_unusable", path=str(path), error=type(error).__name__, cause=str(error)[:200])
        return {}


@contextmanager
def _open(folder: Path) -> Iterator[sqlite3.Connection]:
    """Provide the file in a transaction of its own.

    One that is damaged is removed, for the next attempt to begin anew.
    """
    private_files.make_folder(folder)
    path = folder / NAME
    private_files.make_private(path)
    with closing(sqlite3.connect(path, timeout=WAIT_SECONDS, isolation_level=None)) as connection:
        try:
            _begin(connection)
            yield connection
            connection.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", None) in DAMAGED:  # not where it is in use or the disk is full
                for each in (path, path.with_name(f"{NAME}-journal")):
                    each.unlink(missing_ok=True)
            raise


def _begin(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("BEGIN IMMEDIATE")
    [version] = connection.execute("PRAGMA user_version").fetchone()
    if version != FORMAT:
        # An earlier version of this program wrote it: it is a copy, so it is made again rather than migrated.
        connection.execute("DROP TABLE IF EXISTS known")
        connection.execute(TABLE)
        connection.execute(f"PRAGMA user_version = {FORMAT}")
