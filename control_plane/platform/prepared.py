"""Statements of every operation and every tick: built once, worded once, and executed by the driver alone.

To execute a statement SQLAlchemy takes from 15 to 100 µs of CPU on SQLite, where the database takes three, and some 250
on PostgreSQL. Here it words a statement once; then the driver executes it, with SQLAlchemy's conversions of values both
ways, in the session's transaction, with SQLAlchemy's errors, and what is told of a statement.
"""

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, NamedTuple, cast

from sqlalchemy import BindParameter, ClauseElement, Dialect, Executable
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session
from sqlalchemy.sql.compiler import SQLCompiler

from control_plane.platform import alone
from control_plane.platform.checkouts import TimedPool
from control_plane.platform.database import CONNECTION, Statements, db
from control_plane.platform.told import in_sqlalchemys_words, told

Values = Mapping[str, Any]
"""What is bound, by name."""
Convert = Callable[[Any], Any]
NOTHING: Values = {}


class Prepared:
    """One statement, in both dialects' words where they differ. Errors are SQLAlchemy's DBAPIError."""

    def __init__(self, statement: Executable | Statements) -> None:
        self._statement = statement
        self._worded: dict[tuple[str, ...], Worded] = {}

    def rows(self, session: Session, values: Values = NOTHING) -> Sequence[Any]:
        """Every row that is answered, with the columns as attributes."""
        connection = _connection(session)
        worded = self._wording(connection.dialect if connection else db.engine.dialect, values)
        bound = worded.bound(values)
        found = executed(connection, worded, bound)[0] if connection else alone.rows_of(worded.sql, bound)
        return worded.read(found)

    def row(self, session: Session, values: Values = NOTHING) -> Any:
        """The one row that is answered, or None. Only for statements that answer one row at most."""
        rows = self.rows(session, values)
        assert len(rows) <= 1
        return rows[0] if rows else None

    def change(self, session: Session, values: Values) -> int:
        """Change what the statement changes; returns how many rows that were."""
        connection: Connection = session.info[CONNECTION]
        worded = self._wording(connection.dialect, values)
        return executed(connection, worded, worded.bound(values))[1]

    def change_each(self, session: Session, values: Sequence[Values]) -> None:
        """The same once for each of `values`, which all name the same; nothing for none."""
        connection: Connection = session.info[CONNECTION]
        if values:
            worded = self._wording(connection.dialect, values[0])
            executed(connection, worded, [worded.bound(each) for each in values], many=True)

    def _wording(self, dialect: Dialect, values: Values) -> "Worded":
        names = (dialect.name, *values)  # an INSERT without VALUES sets what is bound
        found = self._worded.get(names)
        if found is None:
            statement = self._statement[dialect.name] if isinstance(self._statement, Mapping) else self._statement
            # Two threads may both come here first; they word the same.
            found = self._worded[names] = _worded(statement, dialect, list(values))
        return found


class _Bind(NamedTuple):
    """A place in the words: the value that is bound there and how it is converted, or what the statement holds."""

    place: str
    value: str | None
    convert: Convert | None
    held: Any


@dataclass(frozen=True, slots=True)
class Worded:
    """A statement in a dialect's words: how values are bound, and how answered columns are read."""

    sql: str
    binds: tuple[_Bind, ...]
    places: tuple[str, ...]
    in_order: bool
    """Whether values are given in the order of their places; by their names if not."""
    reads: tuple[tuple[int, Convert], ...]
    make: Callable[[Sequence[Any]], Any] | None
    """A row of what is answered; None for a statement that answers nothing."""

    def bound(self, values: Values) -> Any:
        """What the driver is given. Raises KeyError for a value that is missing."""
        bound = [
            held if name is None else values[name] if convert is None else convert(values[name])
            for _place, name, convert, held in self.binds
        ]
        return bound if self.in_order else dict(zip(self.places, bound, strict=True))

    def read(self, answered: Sequence[tuple[Any, ...]]) -> Sequence[Any]:
        """The rows, each column in Python's type."""
        assert self.make is not None
        if not self.reads:
            return list(map(self.make, answered))
        return [self.make(self._converted(row)) for row in answered]

    def _converted(self, answered: tuple[Any, ...]) -> list[Any]:
        columns = list(answered)
        for index, convert in self.reads:
            columns[index] = convert(columns[index])
        return columns


def _connection(session: Session) -> Connection | None:
    """The connection that this session has; None for a look that has none, and needs none for one statement."""
    found: Connection | None = session.info.get(CONNECTION)
    return session.connection() if found is None and session.in_transaction() else found


def executed(connection: Connection, worded: Worded, values: Any, *, many: bool = False) -> tuple[list[Any], int]:
    """What is answered, and how many rows were changed. Raises DBAPIError."""
    dialect = connection.dialect
    assert dialect.loaded_dbapi is not None
    base = cast(type[Exception], dialect.loaded_dbapi.Error)
    driver = cast(Any, connection.connection.driver_connection)
    started = perf_counter()
    try:
        cursor = driver.cursor()
        (cursor.executemany if many else cursor.execute)(worded.sql, values)
        rows = cursor.fetchall() if worded.make else []  # on SQLite, a change that answers is done only when it is read
    except base as error:
        is_lost = _is_lost(connection, error)
        refused = in_sqlalchemys_words(dialect, error, base, worded.sql, is_lost=is_lost)
        told().failed(perf_counter() - started, refused)
        raise refused from error
    except BaseException as interruption:
        if not isinstance(interruption, Exception):
            connection.invalidate()  # with an answer under way that nobody waits for
        raise
    told().answered(perf_counter() - started, worded.sql)
    return rows, cursor.rowcount


def _worded(statement: Executable, dialect: Dialect, names: list[str]) -> Worded:
    assert isinstance(statement, ClauseElement)
    compiled = statement.compile(dialect=dialect, column_keys=names)
    assert isinstance(compiled, SQLCompiler)
    assert not compiled.insert_prefetch, "A default that Python computes has to be given."
    places = tuple(compiled.positiontup or ()) if compiled.positional else tuple(compiled.binds)
    columns = list(getattr(statement, "exported_columns", ()))
    reads = ((index, _out_of(column.type, dialect)) for index, column in enumerate(columns))
    row = namedtuple("Row", [column.key for column in columns], rename=True)  # type: ignore[misc]
    return Worded(
        sql=compiled.string,
        binds=tuple(_bind(place, compiled.binds[place], dialect) for place in places),
        places=places,
        in_order=compiled.positional,
        reads=tuple((index, convert) for index, convert in reads if convert),
        make=cast(Any, row)._make if columns else None,
    )


def _bind(place: str, parameter: BindParameter[Any], dialect: Dialect) -> _Bind:
    convert = cast(Convert | None, parameter.type.dialect_impl(dialect).bind_processor(dialect))
    if parameter.required:
        return _Bind(place, parameter.key, convert, None)
    held = parameter.effective_value
    return _Bind(place, None, None, held if convert is None else convert(held))


def _out_of(kind: Any, dialect: Dialect) -> Convert | None:
    return cast(Convert | None, kind.dialect_impl(dialect).result_processor(dialect, None))


def _is_lost(connection: Connection, error: Exception) -> bool:
    """Whether the connection is, and with it the others of its age; the pool is told."""
    taken, pool = connection.connection, connection.engine.pool
    if not connection.dialect.is_disconnect(cast(Any, error), cast(Any, taken.driver_connection), None):
        return False
    assert isinstance(pool, TimedPool)
    connection.invalidate(error)
    pool.lose(cast(Any, taken), error)
    return True
