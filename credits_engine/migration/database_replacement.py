"""The database made what a copy is, inside one transaction: nobody sees anything of it before the commit.

What else has to hold from the first instant on is written into the same transaction by the caller.
"""

import random
import re
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg
from sqlalchemy import inspect, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session

from control_plane import migrations
from control_plane.platform.db.database import db, is_postgresql
from control_plane.platform.runtime import change_feed
from credits_engine.migration import backup
from credits_engine.migration.backup import CopyError

LOCK_SECONDS = 20.0
PATIENCE_MS = 700
"""Less than the second after which PostgreSQL looks for those who wait in a circle, and ends one of them."""
PAUSE_SECONDS = (0.05, 0.3)
ROWS_AT_ONCE = 1_000
COPY = re.compile(rb"COPY .+ FROM stdin;\n")
END_OF_ROWS = b"\\.\n"
OWN_PREFIXES = ("credit_", "kept_")
"""Of tables that no model describes: one that only functions use, and those that a downgrade set aside."""
OWN_FUNCTIONS = (
    "SELECT CAST(CAST(oid AS regprocedure) AS text) FROM pg_proc"
    " WHERE pronamespace = CAST(current_schema() AS regnamespace)"
    " AND proowner = CAST(current_user AS regrole) AND (proname LIKE 'credit\\_%' OR proname IN "
    "('consume_credits', 'get_or_create_active_period', 'refuse_journal_change', 'refuse_pack_entry_change'))"
)
# Settings of the session that not every server knows, and commands that only psql understands.
SKIPPED = re.compile(rb"(SET \w*timeout = |\\(un)?restrict )")

SESSION_SETTING = re.compile(rb"^SET (\w+) =")


def lock(session: Session) -> None:
    """Let nobody else read or write until the transaction ends. SQLite's transactions have the write lock already."""
    if not is_postgresql(session):
        return
    give_up = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            with session.begin_nested():
                _lock_tables(session)
        except OperationalError:
            # Somebody works with a table. All locks are given back, or they might wait for one of ours in a circle.
            if time.monotonic() > give_up:
                raise
            time.sleep(random.uniform(*PAUSE_SECONDS))  # noqa: S311 - no secret
        else:
            break
    session.execute(text("SET LOCAL lock_timeout = 0"))
    session.execute(text("SET LOCAL statement_timeout = 0"))


def _lock_tables(session: Session) -> None:
    session.execute(text(f"SET LOCAL statement_timeout = {PATIENCE_MS}"))
    change_feed.lock_commit_order(session)
    if there := _own_tables(session):
        session.execute(text(f"LOCK TABLE {', '.join(there)} IN ACCESS EXCLUSIVE MODE"))


def replace(session: Session, path: Path) -> None:
    """Put the copy's contents in the place of the database's, at today's version of the schema. Raises CopyError."""
    if not path.is_file():
        raise CopyError(f"There is no backup at {path}.")
    try:
        _replace_postgresql(session, path) if is_postgresql(session) else _replace_sqlite(session, path)
        # The ORM may still hold rows of the database that is gone.
        session.expunge_all()
        migrations.upgrade_within(session.connection())
    except migrations.SchemaError as error:
        raise CopyError(f"{path} can't be restored by this version of the program: {error}") from error
    except (psycopg.Error, sqlite3.Error, SQLAlchemyError) as error:
        raise CopyError(f"{path} could not be restored, and nothing was changed: {error}.") from error


def _replace_sqlite(session: Session, path: Path) -> None:
    target = session.connection().connection.driver_connection
    assert isinstance(target, sqlite3.Connection)
    with closing(backup.open_copy(path)) as source:
        if not _objects(source, "table", "name = 'alembic_version'"):
            raise CopyError(f"{path} holds no rollout database.")
        target.execute("PRAGMA defer_foreign_keys = ON")
        # Triggers first: those of the journal refuse that a row is taken away.
        for kind in ("trigger", "view", "table"):
            for name, _ in _children_first(target, _objects(target, kind)):
                target.execute(f'DROP {kind} "{name}"')
        tables = _objects(source, "table")
        for _, ddl in tables:
            target.execute(ddl)
        for name, _ in tables:
            _copy_rows(source, target, name)
        if source.execute("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'").fetchone():
            # The counters of AUTOINCREMENT, or an id that was given before could be given again.
            target.execute("DELETE FROM sqlite_sequence")
            _copy_rows(source, target, "sqlite_sequence")
        # After the rows, or every single one would be indexed, and refused by a trigger.
        for kind in ("index", "view", "trigger"):
            for _, ddl in _objects(source, kind):
                target.execute(ddl)


def _objects(database: sqlite3.Connection, kind: str, condition: str = "true") -> list[tuple[str, str]]:
    """Name and definition of each; what SQLite makes by itself has no definition or a name of its own."""
    query = "SELECT name, sql FROM sqlite_master WHERE type = ? AND sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%'"
    return list(database.execute(f"{query} ESCAPE '\\' AND {condition} ORDER BY rowid", (kind,)))


def _children_first(database: sqlite3.Connection, objects: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Put tables that refer to others before those: a table that is referred to can't be dropped."""
    return sorted(objects, key=lambda each: not database.execute(f'PRAGMA foreign_key_list("{each[0]}")').fetchall())


def _copy_rows(source: sqlite3.Connection, target: sqlite3.Connection, table: str) -> None:
    rows = source.execute(f'SELECT * FROM "{table}"')  # noqa: S608 - names from the schema
    places = ", ".join("?" * len(rows.description))
    while batch := rows.fetchmany(ROWS_AT_ONCE):
        target.executemany(f'INSERT INTO "{table}" VALUES ({places})', batch)  # noqa: S608


def _replace_postgresql(session: Session, path: Path) -> None:
    """Play what pg_restore would do on this connection, since it can't be given a transaction of ours."""
    driver = session.connection().connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    with driver.cursor() as cursor:
        _drop_own(session)
        with backup.script(path) as lines:
            _play(cursor, lines)
        # pg_dump's script empties it, and every later statement of this transaction would find no table.
        cursor.execute("RESET search_path")
        cursor.execute("SELECT to_regclass('alembic_version')")
        if cursor.fetchone() == (None,):
            raise CopyError(f"{path} holds no rollout database.")


def _own_tables(session: Session) -> list[str]:
    """Return the tables of any version of this program: others may live beside it in the same database."""
    there = inspect(session.connection()).get_table_names()
    own = {*db.metadata.tables, "alembic_version"}
    return sorted(name for name in there if name in own or name.startswith(OWN_PREFIXES))


def _drop_own(session: Session) -> None:
    """Drop what this program made: a backup of an earlier version knows nothing of what came after it."""
    for table in _own_tables(session):
        session.execute(text(f"DROP TABLE {table} CASCADE"))
    for signature in session.scalars(text(OWN_FUNCTIONS)).all():
        session.execute(text(f"DROP FUNCTION IF EXISTS {signature} CASCADE"))


def _play(cursor: psycopg.Cursor[tuple[object, ...]], lines: Iterator[bytes]) -> None:
    statements: list[bytes] = []
    for line in lines:
        if COPY.fullmatch(line):
            # The rows follow in the same stream, so what comes before them must have run.
            _execute(cursor, statements)
            with cursor.copy(line) as rows:
                for batch in _batches(lines):
                    rows.write(batch)
        elif not SKIPPED.match(line):
            # Until the end of the transaction alone: a pooler gives the connection to somebody else afterwards.
            statements.append(SESSION_SETTING.sub(rb"SET LOCAL \1 =", line))
    _execute(cursor, statements)


def _execute(cursor: psycopg.Cursor[tuple[object, ...]], statements: list[bytes]) -> None:
    if statements:
        cursor.execute(b"".join(statements))
        statements.clear()


def _batches(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the rows of one COPY, many at once."""
    batch: list[bytes] = []
    for line in lines:
        if line == END_OF_ROWS:
            break
        batch.append(line)
        if len(batch) == ROWS_AT_ONCE:
            yield b"".join(batch)
            batch.clear()
    yield b"".join(batch)
