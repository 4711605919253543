"""Another process comes and goes while this one has SQLite open: the log stays, and with it everything committed.

SQLite's locks are POSIX's: closing any descriptor of the file, whoever opened it, ends all that this process holds. The
next process to close the database then takes itself for the last one and deletes the log that this one writes to.
"""

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import text

from control_plane.gateway.slow_readers import HANDED_OVER_MAX, StreamReader
from control_plane.platform import private_files
from control_plane.platform.db import database
from control_plane.platform.db.database import db, read_only
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import Sample

pytestmark = pytest.mark.database("sqlite")

VISIT = """
import sqlite3, sys
visitor = sqlite3.connect(sys.argv[1])
visitor.execute("SELECT count(*) FROM lease").fetchall()
visitor.close()
"""


def connect_again() -> None:
    """Open connections beside those that are open, as a server does that gets busy."""
    connections = [database.READ_ENGINE.get().connect() for _ in range(3)]
    for connection in connections:
        connection.execute(text("SELECT 1"))
    for connection in connections:
        connection.close()


def find_slow_reader() -> None:
    """Look through all open files, as a stream does after a megabyte."""
    StreamReader("127.0.0.1", "1").keeps_up(HANDED_OVER_MAX + 1)


def make_private() -> None:
    assert db.engine.url.database
    private_files.make_private(Path(db.engine.url.database))


@pytest.mark.parametrize("act", [connect_again, find_slow_reader, make_private, database.sync_to_disk])
def test_a_visit_of_another_process_takes_no_log_away(app: Flask, act: Callable[[], None]) -> None:
    with app.app_context():
        path = Path(str(db.engine.url.database))
        log = path.with_name(path.name + "-wal")
        with read_only() as session:
            session.execute(text("SELECT 1"))
        before = count(path)
        act()
        written = log.stat().st_ino

        subprocess.run([sys.executable, "-c", VISIT, str(path)], check=True)

        assert log.stat().st_ino == written, "the log that this process writes to was deleted"
        signals.record(Sample("a_signal", bad=False))
        signals.flush(datetime.now(UTC))
        assert count(path) == before + 1, "what was committed here is not what others read"


def count(path: Path) -> int:
    """Read the count of a signal in another process."""
    read = (
        "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute("
        "\"SELECT coalesce(sum(total), 0) FROM signal_total WHERE signal = 'a_signal'\").fetchone()[0])"
    )
    found = subprocess.run([sys.executable, "-c", read, str(path)], check=True, capture_output=True, text=True)
    return int(found.stdout)
