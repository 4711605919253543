"""Outages of the database that a test makes and ends."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask
from sqlalchemy import Engine, QueuePool, event, text
from sqlalchemy.exc import OperationalError

from control_plane.platform.db.database import db

# In the words and with the code of the server's own error.
NO_ROOM = """
CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full';
END $$
"""


@contextmanager
def unreachable(app: Flask) -> Iterator[None]:
    """Let the database take no new connection and lose the old ones."""

    def refuse(*_: object) -> None:
        raise OperationalError("connect", None, ConnectionRefusedError())

    with app.app_context():
        engine = db.engine
    event.listen(engine, "do_connect", refuse)
    engine.dispose()
    try:
        yield
    finally:
        event.remove(engine, "do_connect", refuse)


@contextmanager
def full(app: Flask, table: str = "credit_journal") -> Iterator[None]:
    """Leave the disk no room: SQLite's file may not grow, PostgreSQL says so at each row for `table`."""
    with app.app_context():
        engine = db.engine
    with _no_growth(engine) if engine.dialect.name == "sqlite" else _no_rows(engine, table):
        yield


@contextmanager
def _no_growth(engine: Engine) -> Iterator[None]:
    def limit(connection: Any, *_: object) -> None:
        connection.execute("PRAGMA max_page_count = 1")  # SQLite takes it for the pages that there are

    with _each_connection(engine, limit):
        yield


@contextmanager
def _no_rows(engine: Engine, table: str) -> Iterator[None]:
    with engine.begin() as connection:
        connection.execute(text(NO_ROOM))
        connection.execute(
            text(f"CREATE TRIGGER no_room BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION no_room()")
        )
    try:
        yield
    finally:
        with engine.begin() as connection:
            connection.execute(text("DROP FUNCTION no_room CASCADE"))


@contextmanager
def read_only_database(app: Flask) -> Iterator[None]:
    """Let nothing be written: a file system that was mounted anew after an error, or a standby that took over."""
    with app.app_context():
        engine = db.engine
    words = {"sqlite": "PRAGMA query_only = ON", "postgresql": "SET default_transaction_read_only = on"}

    def forbid(connection: Any, *_: object) -> None:
        connection.execute(words[engine.dialect.name])
        connection.commit()

    with _each_connection(engine, forbid):
        yield


@contextmanager
def _each_connection(engine: Engine, limited: Callable[..., None]) -> Iterator[None]:
    """Provide only connections that were `limited` as they were made; the others are closed
    before and these afterwards.
    """
    event.listen(engine, "connect", limited)
    engine.dispose()
    try:
        yield
    finally:
        event.remove(engine, "connect", limited)
        engine.dispose()


@contextmanager
def exhausted(app: Flask) -> Iterator[None]:
    """Let somebody take every connection and give none back; nobody waits for one."""
    with app.app_context():
        pool = db.engine.pool
    assert isinstance(pool, QueuePool)
    limits = pool._timeout, pool._max_overflow
    pool._timeout, pool._max_overflow = 0, 0
    taken = [pool.connect() for _ in range(pool.size())]
    try:
        yield
    finally:
        for each in taken:
            each.close()
        pool._timeout, pool._max_overflow = limits
