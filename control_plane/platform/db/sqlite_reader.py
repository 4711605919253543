"""One question to a SQLite database, many times a second, on a connection of its own: it takes microseconds.

SQLAlchemy's session around it takes half a millisecond in a thread that wakes for nothing else.
"""

import os
import sqlite3
from contextlib import closing, suppress
from urllib.parse import quote

BUSY_SECONDS = 1.0


class SqliteReader:
    """A statement without parameters that has one value. Of one thread."""

    def __init__(self, database: str | None, sql: str) -> None:
        self._database = database
        self._sql = sql
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None

    def read(self) -> object | None:
        """Return the value as last committed; None where it can't be said: no file, or one that can't be read now."""
        try:
            file = os.stat(self._database or "")
            # Another file may have been put in its place, which an open connection doesn't notice.
            if self._connection is None or self._file != (file.st_dev, file.st_ino):
                self.close()
                self._connection, self._file = _connect(self._database or ""), (file.st_dev, file.st_ino)
            (value,) = self._connection.execute(self._sql).fetchone()
        except (OSError, sqlite3.Error):
            self.close()
            return None
        found: object = value
        return found

    def close(self) -> None:
        """Give the connection back; the next question opens another one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error), closing(connection):
                pass


def _connect(database: str) -> sqlite3.Connection:
    # In this mode a file that is missing is an error, and is not made.
    address = f"file:{quote(database)}?mode=rw"
    return sqlite3.connect(address, timeout=BUSY_SECONDS, isolation_level=None, uri=True)
