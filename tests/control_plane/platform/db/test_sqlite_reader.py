"""One connection for one question: what others commit is seen at once, and a file is neither made nor mistaken."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from control_plane.platform.db.sqlite_reader import SqliteReader

NEWEST = "SELECT max(id) FROM change"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "rollout #1?.db"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE change (id INTEGER PRIMARY KEY)")
    connection.execute("INSERT INTO change DEFAULT VALUES")
    yield path
    connection.close()


@pytest.fixture
def reader(database: Path) -> Iterator[SqliteReader]:
    found = SqliteReader(str(database), NEWEST)
    yield found
    found.close()


def write(database: Path) -> None:
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("INSERT INTO change DEFAULT VALUES")
    connection.close()


def test_each_commit_of_another_connection_is_read(database: Path, reader: SqliteReader) -> None:
    assert reader.read() == 1
    for newest in (2, 3, 4):
        write(database)
        assert reader.read() == newest


def test_a_reader_holds_no_lock_between_two_questions(database: Path, reader: SqliteReader) -> None:
    assert reader.read() == 1
    write(database)
    checkpoint = sqlite3.connect(database, isolation_level=None)
    assert checkpoint.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)
    checkpoint.close()


def test_a_database_that_was_put_in_its_place_is_read(database: Path, reader: SqliteReader, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    write(copy)
    assert reader.read() == 1
    for ending in ("-wal", "-shm"):
        database.with_name(database.name + ending).unlink()
    copy.replace(database)
    assert reader.read() == 2


def test_what_can_not_be_read_is_unknown_and_read_again_as_soon_as_it_can(tmp_path: Path) -> None:
    database = tmp_path / "later.db"
    reader = SqliteReader(str(database), NEWEST)
    assert reader.read() is None
    assert not database.exists(), "asking makes no database"
    connection = sqlite3.connect(database, isolation_level=None)
    assert reader.read() is None, "it has no such table yet"
    connection.execute("CREATE TABLE change (id INTEGER PRIMARY KEY)")
    write(database)
    assert reader.read() == 1
    reader.close()
    connection.close()


@pytest.mark.parametrize("path", [None, ""])
def test_without_a_file_it_is_unknown(path: str | None) -> None:
    assert SqliteReader(path, NEWEST).read() is None
