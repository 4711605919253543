"""Statements of every operation and every tick: built once, worded once, and executed by the driver alone.

To execute a statement SQLAlchemy takes from 15 to 100 µs of CPU on SQLite, where the database takes three, and some 250
on PostgreSQL. Here it words a statement once; then the driver executes it, with SQLAlchemy's conversions of values both
ways, in the session's transaction, with SQLAlchemy's errors, and what is told of a statement.
"""

from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any, cast

from sqlalchemy import Dialect, Executable
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session

from control_plane.platform.db import autocommit
from control_plane.platform.db.compiled_sql import CompiledSql, Values, compile_sql
from control_plane.platform.db.database import CONNECTION, Statements, db
from control_plane.platform.db.pool import InstrumentedPool
from control_plane.platform.db.statement_hooks import statement_hooks, wrap_dbapi_error

NOTHING: Values = {}


class CompiledStatement:
    """One statement, in both dialects' words where they differ. Errors are SQLAlchemy's DBAPIError."""

    def __init__(self, statement: Executable | Statements) -> None:
        self._statement = statement
        self._worded: dict[tuple[str, ...], CompiledSql] = {}

    def fetch_all(self, session: Session, values: Values = NOTHING) -> Sequence[Any]:
        """Every row that is answered, with the columns as attributes."""
        connection = _connection(session)
        words = self._compiled(connection.dialect if connection else db.engine.dialect, values)
        bound = words.bound(values)
        found = execute_compiled(connection, words, bound)[0] if connection else autocommit.fetch_all(words.sql, bound)
        return words.read(found)

    def fetch_one(self, session: Session, values: Values = NOTHING) -> Any:
        """The one row that is answered, or None. Only for statements that answer one row at most."""
        rows = self.fetch_all(session, values)
        assert len(rows) <= 1
        return rows[0] if rows else None

    def execute(self, session: Session, values: Values) -> int:
        """Change what the statement changes; returns how many rows that were."""
        connection: Connection = session.info[CONNECTION]
        words = self._compiled(connection.dialect, values)
        return execute_compiled(connection, words, words.bound(values))[1]

    def execute_many(self, session: Session, values: Sequence[Values]) -> None:
        """Execute once for each of `values`, which have the same keys; do nothing for none."""
        connection: Connection = session.info[CONNECTION]
        if values:
            words = self._compiled(connection.dialect, values[0])
            execute_compiled(connection, words, [words.bound(each) for each in values], many=True)

    def _compiled(self, dialect: Dialect, values: Values) -> CompiledSql:
        names = (dialect.name, *values)  # an INSERT without VALUES sets what is bound
        found = self._worded.get(names)
        if found is None:
            statement = self._statement[dialect.name] if isinstance(self._statement, Mapping) else self._statement
            # Two threads may both come here first; they word the same.
            found = self._worded[names] = compile_sql(statement, dialect, list(values))
        return found


def _connection(session: Session) -> Connection | None:
    """The connection that this session has; None for a look that has none, and needs none for one statement."""
    found: Connection | None = session.info.get(CONNECTION)
    return session.connection() if found is None and session.in_transaction() else found


def execute_compiled(
    connection: Connection, words: CompiledSql, values: Any, *, many: bool = False
) -> tuple[list[Any], int]:
    """Execute and return the rows and the row count. Raises DBAPIError."""
    dialect = connection.dialect
    assert dialect.loaded_dbapi is not None
    base = cast(type[Exception], dialect.loaded_dbapi.Error)
    driver = cast(Any, connection.connection.driver_connection)
    started = perf_counter()
    try:
        cursor = driver.cursor()
        (cursor.executemany if many else cursor.execute)(words.sql, values)
        rows = cursor.fetchall() if words.make else []  # on SQLite, a change that answers is done only when it is read
    except base as error:
        is_lost = _is_lost(connection, error)
        refused = wrap_dbapi_error(dialect, error, base, words.sql, is_lost=is_lost)
        statement_hooks().failed(perf_counter() - started, refused)
        raise refused from error
    except BaseException as interruption:
        if not isinstance(interruption, Exception):
            connection.invalidate()  # with an answer under way that nobody waits for
        raise
    statement_hooks().answered(perf_counter() - started, words.sql)
    return rows, cursor.rowcount


def _is_lost(connection: Connection, error: Exception) -> bool:
    """Return whether the connection is broken; if so, invalidate it and all older ones."""
    taken, pool = connection.connection, connection.engine.pool
    if not connection.dialect.is_disconnect(cast(Any, error), cast(Any, taken.driver_connection), None):
        return False
    assert isinstance(pool, InstrumentedPool)
    connection.invalidate(error)
    pool.invalidate(cast(Any, taken), error)
    return True
