"""One door to SQLite and PostgreSQL. What differs between them ends in this file and in `change_feed.py`."""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import (
    CursorResult,
    DateTime,
    Dialect,
    Engine,
    Executable,
    String,
    TypeDecorator,
    event,
    func,
    make_url,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.pool import ConnectionPoolEntry

from control_plane.platform import clock, private_files
from control_plane.platform.db import timeouts
from control_plane.platform.db.pool import InstrumentedPool
from control_plane.platform.extensions import AppState
from control_plane.platform.settings import Settings, current

LIMITS = {"TimeZone": "UTC", "lock_timeout": "5000", "statement_timeout": "15000"}
"""What each connection to PostgreSQL asks for, in milliseconds where it is a time, as pg_settings shows it."""
LIMIT_OPTIONS = " ".join(f"-c {name}={value}" for name, value in LIMITS.items())
READ_ONLY = "rollout_read_only"
CONNECTION = "connection"
AFTER_COMMIT = "after_commit"
AFTER_ROLLBACK = "after_rollback"

WRITE_LOCK = AppState[AbstractContextManager[object]]("write_lock")
READ_ENGINE = AppState[Engine]("read_engine")
AUTOCOMMIT_ENGINE = AppState[Engine]("autocommit_engine")
BEGIN_ERROR_HOOK = AppState[Callable[[Exception], None]]("begin_error_hook")
"""Is told of the error when SQLite refuses to begin a transaction, which SQLAlchemy's own events don't see."""

Hooks = dict[str, list[Callable[[], None]]]
"""What is to be done once a transaction has ended, by how it ended."""

Statements = Mapping[str, Executable]
"""One statement in the words of each dialect."""

InsertStatement = sqlite.Insert | postgresql.Insert
"""An INSERT that knows `on_conflict_do_nothing` and `on_conflict_do_update`."""
DialectInsert = Callable[[Any], InsertStatement]
"""A dialect's function that begins an INSERT into a table or a model."""


class Base(DeclarativeBase):
    """The one registry of tables."""


db = SQLAlchemy(model_class=Base)


class UtcDateTime(TypeDecorator[datetime]):
    """An instant: aware and in UTC on both sides. SQLite keeps sortable text, PostgreSQL timestamptz."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        return dialect.type_descriptor(String(32) if dialect.name == "sqlite" else DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> object:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone; instants are stored in UTC.")
        utc = value.astimezone(UTC)
        return utc.isoformat(timespec="microseconds") if dialect.name == "sqlite" else utc

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        if value is None:
            return None
        instant = datetime.fromisoformat(value) if isinstance(value, str) else value
        return instant.astimezone(UTC)


def init_app(app: Flask, settings: Settings) -> None:
    """Configure the engine of this application; no connection is opened yet."""
    url = make_url(settings.database_url)
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    app.config["SQLALCHEMY_DATABASE_URI"] = url.render_as_string(hide_password=False)
    # Without the parameters, an error that is logged repeats no password hash and no user's data.
    options = {"hide_parameters": True, "poolclass": InstrumentedPool} | _engine_options(
        url.get_backend_name(), settings
    )
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = options
    db.init_app(app)
    # SQLite has one writer. A turnstile in front of it is fair and wakes at once, where its own busy wait sleeps.
    WRITE_LOCK.set(app, threading.RLock() if url.get_backend_name() == "sqlite" else nullcontext())
    with app.app_context():
        if db.engine.dialect.name == "sqlite":
            _prepare_sqlite(db.engine, settings)
        READ_ENGINE.set(app, db.engine.execution_options(**{READ_ONLY: True}))
        if db.engine.dialect.name == "postgresql":
            _read_clock_on_connect(db.engine)
            AUTOCOMMIT_ENGINE.set(app, db.engine.execution_options(isolation_level="AUTOCOMMIT"))


@contextmanager
def transaction() -> Iterator[Session]:
    """Provide a unit of work: committed when the block ends, rolled back when it raises.

    SQLite takes its write lock first.
    """
    hooks: Hooks = {AFTER_COMMIT: [], AFTER_ROLLBACK: []}
    with WRITE_LOCK.get():
        try:
            with _session(db.engine, hooks) as session:
                yield session
        # Also when the commit itself failed, and when the process is told to stop.
        except BaseException:
            for action in hooks[AFTER_ROLLBACK]:
                action()
            raise
        # The connection is back in the pool by now, so an action may use the database itself.
        for action in hooks[AFTER_COMMIT]:
            action()


@contextmanager
def read_only() -> Iterator[Session]:
    """Provide a view that writes nothing and waits for no writer.

    It is of one instant on SQLite, of one for each query on PostgreSQL.
    """
    with _session(READ_ENGINE.get(), {}) as session:
        yield session


@contextmanager
def autocommit() -> Iterator[Session]:
    """Open an autocommit session for single-statement reads, which spares PostgreSQL a transaction."""
    if db.engine.dialect.name == "sqlite":
        with read_only() as session:
            yield session
    else:
        with Session(AUTOCOMMIT_ENGINE.get(), expire_on_commit=False) as session:
            yield session


@contextmanager
def _session(engine: Engine, hooks: Hooks) -> Iterator[Session]:
    # The transaction is the connection's. The ORM's own, which costs several statements' time, begins if it is used.
    with engine.begin() as connection, Session(connection, expire_on_commit=False) as session:
        session.info.update({**hooks, CONNECTION: connection})
        yield session
        # This only flushes: the commit is the connection's, when the block around it ends.
        if session.in_transaction():
            session.commit()


def after_commit(session: Session, action: Callable[[], None]) -> None:
    """Run `action` once the surrounding `transaction()` has committed; never when it rolls back."""
    session.info[AFTER_COMMIT].append(action)


def dialect_insert(session: Session, table: Any) -> InsertStatement:
    """Return the dialect's INSERT."""
    return sqlite.insert(table) if session.get_bind().dialect.name == "sqlite" else postgresql.insert(table)


def sync_to_disk() -> None:
    """Let what is committed survive a power cut where the setting alone leaves that to the next checkpoint."""
    url = db.engine.url
    if url.get_backend_name() == "sqlite" and url.database and current().sqlite_synchronous != "FULL":
        # A missing log was checkpointed, and that is synced already.
        with suppress(FileNotFoundError), Path(f"{url.database}-wal").open("rb") as log:
            os.fsync(log.fileno())


def after_rollback(session: Session, action: Callable[[], None]) -> None:
    """Run `action` if the surrounding `transaction()` rolls back, or can't even commit."""
    session.info[AFTER_ROLLBACK].append(action)


def per_dialect(build: Callable[[DialectInsert], Executable]) -> Statements:
    """Return a statement for each dialect, built once from the dialect's INSERT."""
    return {"sqlite": build(sqlite.insert), "postgresql": build(postgresql.insert)}


def execute_core(
    session: Session, statement: Executable | Statements, parameters: Any = None
) -> CursorResult[*tuple[Any, ...]]:
    """Execute a statement that was built beforehand, without the ORM's part: for what every operation or tick needs.

    `parameters` is one mapping of bind parameters, or a list of them.
    """
    connection: Connection = session.info.get(CONNECTION) or session.connection()
    chosen = statement[connection.dialect.name] if isinstance(statement, Mapping) else statement
    return connection.execute(chosen, parameters)


def rowcount_of(session: Session, statement: Executable) -> int:
    """Execute a change and say how many rows it touched; compare-and-set reads the answer from this."""
    result = session.execute(statement)
    assert isinstance(result, CursorResult)
    return result.rowcount


def current_time(session: Session) -> datetime:
    """Return PostgreSQL's clock, the one that all hosts share; with SQLite there is one host, and its own clock."""
    if not is_postgresql(session):
        return datetime.now(UTC)
    sent_at = time.monotonic()
    found = session.scalar(select(func.clock_timestamp()))
    assert isinstance(found, datetime)
    clock.DATABASE_CLOCK.observe(found, sent=sent_at, answered=time.monotonic())
    return found.astimezone(UTC)


def is_postgresql(session: Session) -> bool:
    """Return whether this session talks to PostgreSQL."""
    return session.get_bind().dialect.name == "postgresql"


def _engine_options(backend: str, settings: Settings) -> dict[str, object]:
    if backend == "sqlite":
        # The connection that wrote last still has the pages it wrote; any other one has to read them again.
        sizes = {"pool_size": 8, "max_overflow": settings.threads, "pool_use_lifo": True}
        return {"connect_args": {"timeout": 10}, **sizes}
    # A pooler takes no options, and the next transaction may meet a server process that knows no statement of ours:
    # there the limits are those of the role, which the start looks at, and nothing is prepared.
    by_pooler = {"prepare_threshold": None} if settings.has_pooler else {"options": LIMIT_OPTIONS}
    return {
        "connect_args": {**timeouts.libpq(make_url(settings.database_url)), **by_pooler},
        "pool_size": 8,
        "max_overflow": 8,
        "pool_timeout": 5,
        "pool_use_lifo": True,
    }


def _read_clock_on_connect(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def read(connection: Any, _entry: ConnectionPoolEntry) -> None:
        sent_at = time.monotonic()
        (found,) = connection.execute("SELECT clock_timestamp()").fetchone()
        clock.DATABASE_CLOCK.observe(found, sent=sent_at, answered=time.monotonic())
        connection.rollback()


def _prepare_sqlite(engine: Engine, settings: Settings) -> None:
    @event.listens_for(engine, "do_connect")
    def make_private_on_connect(*_: object) -> None:
        if engine.url.database and not engine.url.database.startswith((":", "file:")):
            _make_private(Path(engine.url.database))

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _entry: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # the driver's own implicit BEGIN would start too late to lock
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute(f"PRAGMA synchronous = {settings.sqlite_synchronous}")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        read_only = connection.get_execution_options().get(READ_ONLY, False)
        driver = connection.connection.driver_connection
        assert driver is not None
        statement = "BEGIN" if read_only else "BEGIN IMMEDIATE"
        try:
            driver.execute(statement)
        except sqlite3.Error as error:
            # Past SQLAlchemy, and told in its words: a database that is locked or read only is an outage, no defect.
            refused = OperationalError(statement, None, error)
            BEGIN_ERROR_HOOK.get()(refused)
            raise refused from error


def _make_private(path: Path) -> None:
    """Let this user alone read the database; SQLite gives its other files the mode of this one."""
    with suppress(OSError):  # a folder that can't be written is told of by whoever connects
        private_files.make_folder(path.parent)
        private_files.make_private(path)
        for ending in ("-wal", "-shm", "-journal"):
            private_files.close_to_others(path.with_name(path.name + ending))
