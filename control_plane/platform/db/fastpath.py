"""Execute the statements of every operation and every tick by the driver, compiled once by SQLAlchemy.

Around a statement SQLAlchemy takes 15 to 100 µs of CPU on SQLite, where the database takes three, and some 250 on
PostgreSQL (docs/adr/prepared-statements.md). Compiler, converters, connections and errors stay SQLAlchemy's, all by
its public API; cursor and result are the driver's.
"""

import sqlite3
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from time import perf_counter
from typing import Any, TypeVar, cast

import psycopg
from psycopg import errors, pq
from psycopg.adapt import PyFormat, Transformer
from sqlalchemy import BindParameter, ClauseElement, Dialect, Executable, PoolProxiedConnection
from sqlalchemy.dialects.postgresql.psycopg import dialect as psycopg_dialect
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from sqlalchemy.sql.compiler import SQLCompiler

from control_plane.platform.db.database import CONNECTION, Statements, db
from control_plane.platform.db.fair_semaphore import AdaptiveLimit, FairSemaphore
from control_plane.platform.extensions import AppState

Values = Mapping[str, object]
"""The bind parameters, by name."""
Texts = Sequence[bytes | None]
Result = TypeVar("Result")
Run = Callable[[Any, str, Any], Result]
Get = Callable[[Values], object]
Convert = Callable[[object], object]

NOTHING: Values = {}
LIBPQ = psycopg_dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]
"""PostgreSQL with the placeholders that it knows itself: `$1`, `$2` and so on."""
UNKNOWN_STATEMENT = b"26000"  # invalid_sql_statement_name
NUMBERS = count()


@dataclass(frozen=True, slots=True)
class StatementHooks:
    """Callbacks with the duration of a statement in seconds, and its text or its error."""

    on_success: Callable[[float, str], None]
    on_error: Callable[[float, Exception], None]


HOOKS = AppState[StatementHooks]("statement_hooks")
"""Called for every such statement of an application; SQLAlchemy's own events don't see them."""


class CompiledStatement:
    """One statement, or one per dialect. Errors are SQLAlchemy's DBAPIError, without values, which are a user's."""

    def __init__(self, statement: Executable | Statements) -> None:
        self._statement = statement
        self._compiled: dict[tuple[str, ...], _Compiled] = {}
        self.semaphore, self._limit = FairSemaphore(1), AdaptiveLimit()

    def fetch_all(self, session: Session, values: Values = NOTHING) -> Sequence[Any]:
        """Return every row, with the columns as attributes."""
        connection = _connection(session)
        if connection is None:
            compiled = self._compile(LIBPQ, values)
            rows = self._run_in_own_transaction(compiled, compiled.bind(values), compiled.prepared_rows)
        else:
            compiled = self._compile(connection.dialect, values)
            rows, _ = _execute(connection, connection.connection, compiled.sql, compiled.bind(values), _rows)
        return compiled.read(rows)

    def fetch_one(self, session: Session, values: Values = NOTHING) -> Any:
        """Return the one row, or None. Only for statements that return one row at most."""
        rows = self.fetch_all(session, values)
        assert len(rows) <= 1
        return rows[0] if rows else None

    def execute(self, session: Session, values: Values) -> int:
        """Execute the statement; return the number of rows that were changed."""
        connection: Connection = session.info[CONNECTION]
        compiled = self._compile(connection.dialect, values)
        return _execute(connection, connection.connection, compiled.sql, compiled.bind(values), _rows)[1]

    def execute_many(self, session: Session, values: Sequence[Values]) -> int:
        """Execute once for each of `values`, which have the same keys; return the number of rows that were changed."""
        if not values:
            return 0
        connection: Connection = session.info[CONNECTION]
        compiled = self._compile(connection.dialect, values[0])
        parameters = [compiled.bind(each) for each in values]
        return _execute(connection, connection.connection, compiled.sql, parameters, _number_changed)

    def fetch_value(self, texts: Texts) -> bytes:
        """Return the one value, never NULL, of a statement that is a transaction of its own on PostgreSQL.

        For the statement of every operation: prepared, in one call of libpq, with `texts` in the order of their
        parameters, and the value, as PostgreSQL writes them. Converting ten values costs 40 µs of CPU in a thread that
        finds the caches cold, and psycopg's cursor as much again.
        """
        compiled = self._compile(LIBPQ, NOTHING)
        return self._run_in_own_transaction(compiled, texts, compiled.prepared_value)

    def _run_in_own_transaction(self, compiled: "_Compiled", values: object, run: "Run[Result]") -> Result:
        has_permit = self.semaphore.acquire()
        try:
            pooled = _checkout()
            started = perf_counter()
            try:
                result = _execute(pooled, pooled, compiled.sql, values, run)
            finally:
                pooled.close()
            if permits := self._limit.observe(perf_counter() - started):
                self.semaphore.resize(permits)
            return result
        finally:
            if has_permit:
                self.semaphore.release()

    def _compile(self, dialect: Dialect, values: Values) -> "_Compiled":
        key = (dialect.paramstyle, *values)  # an INSERT without VALUES sets the columns that are bound
        found = self._compiled.get(key)
        if found is None:
            statement = self._statement[dialect.name] if isinstance(self._statement, Mapping) else self._statement
            # Two threads may both come here first; they compile the same.
            found = self._compiled[key] = _compile(statement, dialect, list(values))
        return found


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A statement in a dialect's SQL: how values are bound, and how rows are read."""

    sql: str
    binds: Sequence[tuple[str, Get]]
    is_positional: bool
    converters: Sequence[tuple[int, Convert]]
    row: Callable[[Sequence[object]], object]
    name: bytes

    def bind(self, values: Values) -> object:
        """Return the driver's parameters. Raises KeyError for a missing value."""
        if self.is_positional:
            return [get(values) for _, get in self.binds]
        return {place: get(values) for place, get in self.binds}

    def read(self, rows: Sequence[Sequence[object]]) -> Sequence[object]:
        """Return the rows, each column in Python's type."""
        return [self.row(self._converted(row)) for row in rows] if self.converters else list(map(self.row, rows))

    def _converted(self, row: Sequence[object]) -> list[object]:
        columns = list(row)
        for index, convert in self.converters:
            columns[index] = convert(columns[index])
        return columns

    def prepared_rows(self, driver: psycopg.Connection[object], sql: str, values: Sequence[object]) -> list[Any]:
        """Return every row of the statement, in the driver's types."""
        types = Transformer(driver)
        # None among them is SQL's NULL, which libpq takes and the driver's types don't say.
        result = self._prepared(driver, sql, types.dump_sequence(values, [PyFormat.TEXT] * len(values)))
        types.set_pgresult(result)
        return types.load_rows(0, result.ntuples, tuple)

    def prepared_value(self, driver: psycopg.Connection[object], sql: str, texts: Texts) -> bytes:
        """Return the one value of the statement as PostgreSQL writes it."""
        if b"\0" in b"".join(filter(None, texts)):
            raise psycopg.DataError("PostgreSQL's texts hold no zero bytes.")  # libpq would read up to there
        value = self._prepared(driver, sql, texts).get_value(0, 0)
        assert value is not None
        return value

    def _prepared(self, driver: psycopg.Connection[object], sql: str, texts: Any) -> pq.abc.PGresult:
        if driver.prepare_threshold is None:  # behind a pooler, where the next transaction may be another server's
            return _check(driver, driver.pgconn.exec_params(sql.encode(), texts))
        result = driver.pgconn.exec_prepared(self.name, texts)
        if result.error_field(pq.DiagnosticField.SQLSTATE) == UNKNOWN_STATEMENT:
            # A new connection, or one on which a transaction was rolled back: the driver deallocates everything then.
            _check(driver, driver.pgconn.prepare(self.name, sql.encode()))
            result = driver.pgconn.exec_prepared(self.name, texts)
        return _check(driver, result)


def _compile(statement: Executable, dialect: Dialect, names: list[str]) -> _Compiled:
    assert isinstance(statement, ClauseElement)
    compiled = statement.compile(dialect=dialect, column_keys=names)
    assert isinstance(compiled, SQLCompiler)
    assert not compiled.insert_prefetch, "A default that Python computes has to be given."
    places = compiled.positiontup or () if compiled.positional else compiled.binds
    columns = list(getattr(statement, "exported_columns", ()))
    found = (column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns)
    row = namedtuple("Row", [column.key for column in columns], rename=True)  # type: ignore[misc]
    return _Compiled(
        sql=compiled.string,
        binds=tuple((place, _getter(compiled.binds[place], dialect)) for place in places),
        is_positional=compiled.positional,
        converters=tuple((index, cast(Convert, convert)) for index, convert in enumerate(found) if convert),
        row=cast(Any, row)._make if columns else tuple,
        name=b"fastpath_%d" % next(NUMBERS),
    )


def _getter(parameter: BindParameter[object], dialect: Dialect) -> Get:
    """Return what takes a parameter out of the values, converted; a constant where the statement holds its value."""
    convert = cast(Convert | None, parameter.type.dialect_impl(dialect).bind_processor(dialect))
    if not parameter.required:
        constant = convert(parameter.effective_value) if convert else parameter.effective_value
        return lambda _values: constant
    name = parameter.key
    return (lambda values: convert(values[name])) if convert else (lambda values: values[name])


def _connection(session: Session) -> Connection | None:
    """Return the connection of the session; None for `autocommit()` that has none, and needs none for one statement."""
    found: Connection | None = session.info.get(CONNECTION)
    return session.connection() if found is None and session.in_transaction() else found


def _checkout() -> PoolProxiedConnection:
    """Take a connection without SQLAlchemy's `Connection` around it, which costs a fifth of the CPU of all this."""
    try:
        return db.engine.raw_connection()
    except psycopg.Error as error:
        raise _failure(error, None) from error


def _execute(
    holder: Connection | PoolProxiedConnection,
    pooled: PoolProxiedConnection,
    sql: str,
    values: object,
    run: Run[Result],
) -> Result:
    """Run a statement by the driver's connection and report it; `holder` learns of a lost one. Raises DBAPIError."""
    driver, started = cast(Any, pooled.driver_connection), perf_counter()
    try:
        result = run(driver, sql, values)
    except (psycopg.Error, sqlite3.Error) as error:
        is_lost = db.engine.dialect.is_disconnect(cast(Any, error), driver, None)
        if is_lost:
            holder.invalidate(error)
            db.engine.dispose()  # the others are as old, and were lost with it
        failure = _failure(error, sql, is_lost=is_lost)
        HOOKS.get().on_error(perf_counter() - started, failure)
        raise failure from error
    except (KeyboardInterrupt, SystemExit):
        holder.invalidate()  # with an answer on its way that nobody waits for
        raise
    HOOKS.get().on_success(perf_counter() - started, sql)
    return result


def _failure(error: psycopg.Error | sqlite3.Error, sql: str | None, *, is_lost: bool = False) -> DBAPIError:
    """Return SQLAlchemy's error for the driver's; without values, which are a user's."""
    dialect = db.engine.dialect
    assert dialect.loaded_dbapi is not None
    base = cast(type[Exception], dialect.loaded_dbapi.Error)
    failure = DBAPIError.instance(
        sql, None, error, base, hide_parameters=True, connection_invalidated=is_lost, dialect=dialect
    )
    assert isinstance(failure, DBAPIError)
    return failure


def _rows(driver: Any, sql: str, values: object) -> tuple[list[object], int]:
    cursor = driver.execute(sql, values)
    # On SQLite a change with RETURNING is done only when it has been read.
    return cursor.fetchall() if cursor.description else [], cursor.rowcount


def _number_changed(driver: Any, sql: str, values: object) -> int:
    cursor = driver.cursor()
    cursor.executemany(sql, values)
    found: int = cursor.rowcount
    return found


def _check(driver: psycopg.Connection[object], result: pq.abc.PGresult) -> pq.abc.PGresult:
    if result.status in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK):
        return result
    if driver.closed:
        raise psycopg.OperationalError(driver.pgconn.get_error_message())
    raise errors.error_from_result(result)
