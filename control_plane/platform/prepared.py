"""Statements of every operation and every tick: built once, and on SQLite worded once too.

SQLAlchemy takes from 15 to 100 µs of CPU to execute what SQLite does in three, which is a third of an operation. Here
it words a statement once; then the driver alone executes it, with SQLAlchemy's conversions of values both ways, its
errors, and what is told of a statement. On PostgreSQL a round trip hides the difference, and SQLAlchemy executes.
"""

import sqlite3
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, cast

from sqlalchemy import BindParameter, ClauseElement, Dialect, Executable
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session
from sqlalchemy.sql.compiler import SQLCompiler

from control_plane.platform.database import CONNECTION, Statements
from control_plane.platform.told import in_sqlalchemys_words, told

Values = Mapping[str, Any]
"""What is bound, by name."""
Convert = Callable[[Any], Any]
NOTHING: Values = {}

_Bind = tuple[str | None, Convert | None, Any]
"""A value's name and how it is converted, or what the statement holds itself, converted already."""


class Prepared:
    """One statement, in both dialects' words where they differ. Errors are SQLAlchemy's DBAPIError."""

    def __init__(self, statement: Executable | Statements) -> None:
        self._statement = statement
        self._worded: dict[tuple[str, ...], _Worded] = {}

    def rows(self, session: Session, values: Values = NOTHING) -> Sequence[Any]:
        """Every row that is answered, with the columns as attributes."""
        connection: Connection = session.info[CONNECTION]
        if connection.dialect.name != "sqlite":
            return connection.execute(self._of(connection), values).all()
        worded = self._wording(connection, values)
        return worded.read(executed(connection, worded.sql, worded.bound(values))[0])

    def row(self, session: Session, values: Values = NOTHING) -> Any:
        """The one row that is answered, or None. Only for statements that answer one row at most."""
        rows = self.rows(session, values)
        assert len(rows) <= 1
        return rows[0] if rows else None

    def change(self, session: Session, values: Values) -> int:
        """Change what the statement changes; returns how many rows that were."""
        connection: Connection = session.info[CONNECTION]
        if connection.dialect.name != "sqlite":
            # Of an INSERT the driver's count would be forgotten.
            counting = {"preserve_rowcount": True}
            return connection.execute(self._of(connection), values, execution_options=counting).rowcount
        worded = self._wording(connection, values)
        return executed(connection, worded.sql, worded.bound(values))[1]

    def change_each(self, session: Session, values: Sequence[Values]) -> None:
        """The same once for each of `values`, which all name the same; nothing for none."""
        connection: Connection = session.info[CONNECTION]
        if not values:
            return
        if connection.dialect.name != "sqlite":
            connection.execute(self._of(connection), values)
            return
        worded = self._wording(connection, values[0])
        executed(connection, worded.sql, [worded.bound(each) for each in values], many=True)

    def _of(self, connection: Connection) -> Executable:
        return self._statement[connection.dialect.name] if isinstance(self._statement, Mapping) else self._statement

    def _wording(self, connection: Connection, values: Values) -> "_Worded":
        names = tuple(values)  # an INSERT without VALUES sets what is bound
        found = self._worded.get(names)
        if found is None:
            # Two threads may both come here first; they word the same.
            found = self._worded[names] = _worded(self._of(connection), connection.dialect, names)
        return found


@dataclass(frozen=True, slots=True)
class _Worded:
    """A statement in SQLite's words: how values are bound, in their order, and how answered columns are read."""

    sql: str
    binds: tuple[_Bind, ...]
    reads: tuple[tuple[int, Convert], ...]
    make: Callable[[Sequence[Any]], Any]

    def bound(self, values: Values) -> list[Any]:
        """What the driver is given. Raises KeyError for a value that is missing."""
        return [
            held if name is None else values[name] if convert is None else convert(values[name])
            for name, convert, held in self.binds
        ]

    def read(self, answered: Sequence[tuple[Any, ...]]) -> Sequence[Any]:
        """The rows, each column in Python's type."""
        if not self.reads:
            return list(map(self.make, answered))
        return [self._row(row) for row in answered]

    def _row(self, answered: tuple[Any, ...]) -> Any:
        columns = list(answered)
        for index, convert in self.reads:
            columns[index] = convert(columns[index])
        return self.make(columns)


def _worded(statement: Executable, dialect: Dialect, names: tuple[str, ...]) -> _Worded:
    assert isinstance(statement, ClauseElement)
    compiled = statement.compile(dialect=dialect, column_keys=list(names))
    assert isinstance(compiled, SQLCompiler)
    assert not compiled.insert_prefetch, "A default that Python computes has to be given."
    binds = tuple(_bind(compiled.binds[name], dialect) for name in compiled.positiontup or ())
    columns = list(getattr(statement, "exported_columns", ()))
    reads = ((index, _out_of(column.type, dialect)) for index, column in enumerate(columns))
    row = namedtuple("Row", [column.key for column in columns], rename=True)  # type: ignore[misc]
    return _Worded(
        compiled.string, binds, tuple((index, convert) for index, convert in reads if convert), cast(Any, row)._make
    )


def _bind(parameter: BindParameter[Any], dialect: Dialect) -> _Bind:
    convert = cast(Convert | None, parameter.type.dialect_impl(dialect).bind_processor(dialect))
    if parameter.required:
        return parameter.key, convert, None
    held = parameter.effective_value
    return None, None, held if convert is None else convert(held)


def _out_of(kind: Any, dialect: Dialect) -> Convert | None:
    return cast(Convert | None, kind.dialect_impl(dialect).result_processor(dialect, None))


def executed(connection: Connection, sql: str, values: list[Any], *, many: bool = False) -> tuple[list[Any], int]:
    """What is answered, and how many rows were changed."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    started = perf_counter()
    try:
        cursor = driver.executemany(sql, values) if many else driver.execute(sql, values)
        rows = cursor.fetchall()  # a change that answers is done only when it is read
    except sqlite3.Error as error:
        refused = in_sqlalchemys_words(connection.dialect, error, sqlite3.Error, sql)
        told().failed(perf_counter() - started, refused)
        raise refused from error
    told().answered(perf_counter() - started, sql)
    return rows, cursor.rowcount
