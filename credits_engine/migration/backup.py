"""Whole copies of the database: SQLite's online backup, PostgreSQL's own pg_dump and pg_restore."""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryFile

from psycopg.conninfo import make_conninfo
from sqlalchemy import URL, make_url

from control_plane.platform import private_files
from control_plane.platform.db import direct

PAGES_AT_ONCE = 1_000


class CopyError(RuntimeError):
    """A copy could not be made or put back; the message says why."""


def backup(database_url: str, path: Path) -> None:
    """Write a consistent copy while everything goes on. Raises CopyError; no half-written copy stays behind."""
    partial = path.with_name(f"{path.name}.partial")
    url = make_url(database_url)
    try:
        _make_private(partial)
        if url.get_backend_name() == "sqlite":
            _copy_sqlite(_file(url), partial)
        else:
            _run("pg_dump", url, "--format=custom", f"--file={partial}")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def require_programs(database_url: str) -> None:
    """Raise CopyError where a program that copies this kind of database is not installed."""
    if make_url(database_url).get_backend_name() == "postgresql":
        _program("pg_dump")


def restore(database_url: str, path: Path) -> None:
    """Make the database what the copy is, all of it or nothing. Raises CopyError."""
    if not path.is_file():
        raise CopyError(f"There is no backup at {path}.")
    url = make_url(database_url)
    if url.get_backend_name() == "sqlite":
        private_files.make_private(_file(url))
        _copy_sqlite(path, _file(url))
        return
    _run("pg_restore", url, "--clean", "--if-exists", "--single-transaction", str(path))


def _make_private(path: Path) -> None:
    """Make the file, for this user alone, before anything is written into it."""
    try:
        path.unlink(missing_ok=True)
        private_files.make_private(path)
    except OSError as error:
        raise CopyError(f"{path} can't be written ({os.strerror(error.errno or 0).lower()}).") from error


def open_copy(path: Path) -> sqlite3.Connection:
    """Return a copy that SQLite made, found whole. Raises CopyError."""
    reader = sqlite3.connect(path)
    try:
        found = reader.execute("PRAGMA quick_check").fetchone()[0]
    except sqlite3.Error as error:
        reader.close()
        raise CopyError(f"{path} could not be copied: {error}.") from error
    if found != "ok":
        reader.close()
        raise CopyError(f"{path} is damaged: {found}.")
    return reader


@contextmanager
def script(path: Path) -> Iterator[Iterator[bytes]]:
    """Provide the lines of SQL by which pg_restore would put a copy back. Raises CopyError where it can't."""
    command = [_program("pg_restore"), "--clean", "--if-exists", "--file=-", str(path)]
    with (
        TemporaryFile() as complaints,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=complaints) as running,  # noqa: S603 - our own words
    ):
        assert running.stdout
        yield running.stdout
        if running.wait():
            complaints.seek(0)
            raise CopyError(f"pg_restore failed: {complaints.read(500).decode(errors='replace').strip()}")


def _copy_sqlite(source: Path, target: Path) -> None:
    try:
        with closing(open_copy(source)) as reader, closing(sqlite3.connect(target, timeout=10)) as writer:
            reader.backup(writer, pages=PAGES_AT_ONCE)
    except sqlite3.Error as error:
        raise CopyError(f"{source} could not be copied to {target}: {error}.") from error


def _run(program: str, url: URL, *arguments: str) -> None:
    """Run one of PostgreSQL's programs; the password goes by the environment, where no process list shows it."""
    found = _program(program)
    where = direct.libpq_arguments(url)
    password = where.pop("password", "")
    command = [found, "--no-password", f"--dbname={make_conninfo(**where)}", *arguments]
    environ = os.environ | {"PGPASSWORD": password}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    if done.returncode:
        raise CopyError(f"{program} failed: {done.stderr.strip()[:500]}")


def _program(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise CopyError(f"{program} is not installed; install PostgreSQL's client programs.")
    return found


def _file(url: URL) -> Path:
    assert url.database
    return Path(url.database)
