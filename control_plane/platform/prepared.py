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

from control_plane.platform import alone
from control_plane.platform.checkouts import TimedPool
from control_plane.platform.database import CONNECTION, Statements, db
from control_plane.platform.told import in_sqlalchemys_words, told
from control_plane.platform.wording import Values, Worded, worded

NOTHING: Values = {}


class Prepared:
    """One statement, in both dialects' words where they differ. Errors are SQLAlchemy's DBAPIError."""

    def __init__(self, statement: Executable | Statements) -> None:
        self._statement = statement
        self._worded: dict[tuple[str, ...], Worded] = {}

    def rows(self, session: Session, values: Values = NOTHING) -> Sequence[Any]:
        """Every row that is answered, with the columns as attributes."""
        connection = _connection(session)
        words = self._wording(connection.dialect if connection else db.engine.dialect, values)
        bound = words.bound(values)
        found = executed(connection, words, bound)[0] if connection else alone.rows_of(words.sql, bound)
        return words.read(found)

    def row(self, session: Session, values: Values = NOTHING) -> Any:
        """The one row that is answered, or None. Only for statements that answer one row at most."""
        rows = self.rows(session, values)
        assert len(rows) <= 1
        return rows[0] if rows else None

    def change(self, session: Session, values: Values) -> int:
        """Change what the statement changes; returns how many rows that were."""
        connection: Connection = session.info[CONNECTION]
        words = self._wording(connection.dialect, values)
        return executed(connection, words, words.bound(values))[1]

    def change_each(self, session: Session, values: Sequence[Values]) -> None:
        """The same once for each of `values`, which all name the same; nothing for none."""
        connection: Connection = session.info[CONNECTION]
        if values:
            words = self._wording(connection.dialect, values[0])
            executed(connection, words, [words.bound(each) for each in values], many=True)

    def _wording(self, dialect: Dialect, values: Values) -> Worded:
        names = (dialect.name, *values)  # an INSERT without VALUES sets what is bound
        found = self._worded.get(names)
        if found is None:
            statement = self._statement[dialect.name] if isinstance(self._statement, Mapping) else self._statement
            # Two threads may both come here first; they word the same.
            found = self._worded[names] = worded(statement, dialect, list(values))
        return found


def _connection(session: Session) -> Connection | None:
    """The connection that this session has; None for a look that has none, and needs none for one statement."""
    found: Connection | None = session.info.get(CONNECTION)
    return session.connection() if found is None and session.in_transaction() else found


def executed(connection: Connection, words: Worded, values: Any, *, many: bool = False) -> tuple[list[Any], int]:
    """What is answered, and how many rows were changed. Raises DBAPIError."""
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
        refused = in_sqlalchemys_words(dialect, error, base, words.sql, is_lost=is_lost)
        told().failed(perf_counter() - started, refused)
        raise refused from error
    except BaseException as interruption:
        if not isinstance(interruption, Exception):
            connection.invalidate()  # with an answer under way that nobody waits for
        raise
    told().answered(perf_counter() - started, words.sql)
    return rows, cursor.rowcount


def _is_lost(connection: Connection, error: Exception) -> bool:
    """Whether the connection is, and with it the others of its age; the pool is told."""
    taken, pool = connection.connection, connection.engine.pool
    if not connection.dialect.is_disconnect(cast(Any, error), cast(Any, taken.driver_connection), None):
        return False
    assert isinstance(pool, TimedPool)
    connection.invalidate(error)
    pool.lose(cast(Any, taken), error)
    return True
