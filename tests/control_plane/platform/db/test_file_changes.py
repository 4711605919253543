import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from control_plane.platform.db.file_changes import SETTLED_NS, SKIPS_MAX, FileChanges


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "rollout.db"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE change (id INTEGER PRIMARY KEY)")
    yield path
    connection.close()


def settle(database: Path) -> None:
    """Let the last write be some time ago."""
    long_ago = time.time_ns() - 10 * SETTLED_NS
    for path in (database, database.with_name("rollout.db-wal")):
        os.utime(path, ns=(long_ago, long_ago))


def write(database: Path) -> None:
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("INSERT INTO change DEFAULT VALUES")
    connection.close()


def test_a_commit_of_another_connection_is_noticed_and_nothing_else(database: Path) -> None:
    settle(database)
    files = FileChanges(str(database))
    assert [files.may_be_new() for _ in range(3)] == [True, False, False]
    write(database)
    assert files.may_be_new()


def test_a_write_in_the_same_moment_as_the_last_one_is_not_missed(database: Path) -> None:
    files = FileChanges(str(database))
    write(database)
    assert all(files.may_be_new() for _ in range(3)), "a fresh file may have been written twice within its clock's step"
    settle(database)
    assert files.may_be_new()
    assert not files.may_be_new()


def test_the_answer_is_yes_now_and_then_without_any_news(database: Path) -> None:
    settle(database)
    files = FileChanges(str(database))
    answers = [files.may_be_new() for _ in range(2 * (SKIPS_MAX + 1))]
    assert answers == [True, *[False] * SKIPS_MAX] * 2


def test_a_database_that_was_put_in_its_place_is_noticed(database: Path, tmp_path: Path) -> None:
    settle(database)
    files = FileChanges(str(database))
    files.may_be_new()
    copy = tmp_path / "copy.db"
    copy.write_bytes(database.read_bytes())
    long_ago = database.stat().st_mtime_ns
    os.utime(copy, ns=(long_ago, long_ago))
    copy.replace(database)
    assert files.may_be_new()


@pytest.mark.parametrize("path", [None, ""])
def test_without_a_file_it_may_always_be_new(path: str | None) -> None:
    files = FileChanges(path)
    assert files.may_be_new()
    assert files.may_be_new()
