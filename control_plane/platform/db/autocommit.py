"""One statement that is a transaction of its own, on PostgreSQL: one round trip, in libpq's own calls.

Of the CPU that a process spends on an operation, SQLAlchemy's connection and result took 120 µs and the driver's cursor
50, beside 250 in the database; both also hand the interpreter over several times while they wait. Here a statement is
prepared once per connection and executed in one call. The driver converts values, both ways. Pool, errors and what is
told of a statement are as if SQLAlchemy had executed it.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import count
from time import perf_counter
from typing import Any, TypeVar, cast

import psycopg
from psycopg import errors, pq
from psycopg.adapt import PyFormat, Transformer
from sqlalchemy import Engine
from sqlalchemy.pool import ConnectionPoolEntry

from control_plane.platform.db.database import db
from control_plane.platform.db.pool import InstrumentedPool
from control_plane.platform.db.statement_hooks import statement_hooks, wrap_dbapi_error
from control_plane.platform.fair_semaphore import MAX_WAIT_SECONDS, AdaptiveLimit, FairSemaphore

Values = Sequence[Any] | Mapping[str, Any]
Rows = list[tuple[Any, ...]]
Texts = Sequence[bytes | None]
Params = TypeVar("Params", Values, Texts)
Fetched = TypeVar("Fetched")
PLACE = re.compile(r"%(?:%|s|\((\w+)\)s)")
PREPARED = "statements_alone"
NUMBERS = count()
UNKNOWN_STATEMENT = b"26000"  # invalid_sql_statement_name
ONE_MORE_SECONDS = 0.001
"""Of one statement a process has one under way, and one more for each millisecond that even the quickest takes: on the
same machine more only make each other's caches cold (two cost 8 % of the throughput, eight half as much CPU again), and
far away or on a slow disk they use the time of waiting.
"""
MOST_AT_ONCE, LATEST = 8, 100


def fetch_all(statement: str, parameters: Values) -> Rows:
    """The rows that `statement` answers, committed. Raises SQLAlchemy's DBAPIError, and nothing was done then.

    Whoever interrupts the process waits for the answer, which `statement_timeout` bounds.
    """
    return _fetch_reported(_rows, statement, parameters)


def fetch_value(statement: str, texts: Texts) -> bytes:
    """The one value, never NULL, that `statement` answers; that and `texts` as PostgreSQL writes and reads them.

    For the statement that is asked most: who comes back from waiting has the driver's conversions to fetch from memory,
    and they cost 40 µs of CPU where the few that a statement needs cost five. Raises as `fetch_all`.
    """
    return _fetch_reported(_value, statement, texts)


def _fetch_reported(execute: "Execute[Params, Fetched]", statement: str, asked: Params) -> Fetched:
    numbered = _prepared_statement(statement)
    has_place = numbered.line.enter()
    try:
        return _fetch_with_hooks(execute, numbered, asked)
    finally:
        if has_place:
            numbered.line.leave()


def _fetch_with_hooks(execute: "Execute[Params, Fetched]", numbered: "_PreparedStatement", asked: Params) -> Fetched:
    engine = db.engine
    pool = engine.pool
    assert isinstance(pool, InstrumentedPool)
    try:
        lent = pool.checkout_raw()
    except psycopg.Error as error:
        raise wrap_dbapi_error(engine.dialect, error, psycopg.Error, None) from error
    started = perf_counter()
    try:
        found = execute(lent, numbered, asked)
    except psycopg.Error as error:
        is_lost = _is_lost(engine, lent, error)
        refused = wrap_dbapi_error(engine.dialect, error, psycopg.Error, numbered.statement, is_lost=is_lost)
        statement_hooks().failed(perf_counter() - started, refused)
        raise refused from error
    finally:
        pool.checkin_raw(lent)
    seconds = perf_counter() - started
    if places := numbered.breadth.observe(seconds):
        numbered.line.resize(places)
    statement_hooks().answered(seconds, numbered.statement)
    return found


@dataclass(frozen=True, slots=True)
class _PreparedStatement:
    """A statement as PostgreSQL prepares it, with the names of `$1`, `$2` and so on where they have names.

    `line` is for those who ask it, `breadth` says how many of them at once.
    """

    statement: str
    name: bytes
    words: bytes
    formats: tuple[PyFormat, ...]
    names: tuple[str, ...]
    line: FairSemaphore
    breadth: AdaptiveLimit

    def values(self, parameters: Values) -> Sequence[Any]:
        return [parameters[name] for name in self.names] if isinstance(parameters, Mapping) else parameters


@cache
def _prepared_statement(statement: str) -> _PreparedStatement:
    """Kept for good: the statements are the program's own."""
    places: dict[str, int] = {}

    def number(place: re.Match[str]) -> str:
        if place[0] == "%%":
            return "%"
        return f"${places.setdefault(place[1] or str(len(places)), len(places) + 1)}"

    words = PLACE.sub(number, statement).encode()
    return _PreparedStatement(
        statement,
        b"alone_%d" % next(NUMBERS),
        words,
        (PyFormat.TEXT,) * len(places),
        tuple(places),
        FairSemaphore(1, MAX_WAIT_SECONDS),
        AdaptiveLimit(one_more_seconds=ONE_MORE_SECONDS, most=MOST_AT_ONCE, latest=LATEST),
    )


Execute = Callable[[ConnectionPoolEntry, _PreparedStatement, Params], Fetched]


def _rows(lent: ConnectionPoolEntry, numbered: _PreparedStatement, parameters: Values) -> Rows:
    values = Transformer(_driver_of(lent))
    # None among them is SQL's NULL, which `exec_prepared` takes without saying so in its types.
    texts = cast(Texts, values.dump_sequence(numbered.values(parameters), numbered.formats))
    result = _executed(lent, numbered, texts)
    values.set_pgresult(result)
    return cast(Rows, values.load_rows(0, result.ntuples, tuple))


def _value(lent: ConnectionPoolEntry, numbered: _PreparedStatement, texts: Texts) -> bytes:
    if any(b"\0" in text for text in texts if text):
        raise psycopg.DataError("PostgreSQL's texts hold no zero bytes.")  # it would read up to there
    found = _executed(lent, numbered, texts).get_value(0, 0)
    assert found is not None
    return found


def _executed(lent: ConnectionPoolEntry, numbered: _PreparedStatement, texts: Texts) -> pq.abc.PGresult:
    driver = _driver_of(lent)
    asked = cast(Sequence[bytes], texts)
    prepared = lent.info.setdefault(PREPARED, set())
    if numbered.name not in prepared:
        _prepare(driver, numbered)
        prepared.add(numbered.name)
    result = driver.pgconn.exec_prepared(numbered.name, asked)
    if result.error_field(pq.DiagnosticField.SQLSTATE) == UNKNOWN_STATEMENT:
        # The driver has everything deallocated on a connection where a transaction was rolled back. Nothing was done.
        _prepare(driver, numbered)
        result = driver.pgconn.exec_prepared(numbered.name, asked)
    return _checked(driver, result)


def _prepare(driver: psycopg.Connection[Any], numbered: _PreparedStatement) -> None:
    # Of which type a value is, PostgreSQL finds out itself: with the driver's, 1 and 40,000 are of different ones.
    _checked(driver, driver.pgconn.prepare(numbered.name, numbered.words))


def _checked(driver: psycopg.Connection[Any], result: pq.abc.PGresult) -> pq.abc.PGresult:
    if result.status in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK):
        return result
    if driver.closed:
        raise psycopg.OperationalError(driver.pgconn.get_error_message())
    raise errors.error_from_result(result)


def _driver_of(lent: ConnectionPoolEntry) -> psycopg.Connection[tuple[Any, ...]]:
    driver = lent.driver_connection
    assert isinstance(driver, psycopg.Connection)
    return driver


def _is_lost(engine: Engine, lent: ConnectionPoolEntry, error: psycopg.Error) -> bool:
    """Return whether the connection is broken; if so, invalidate it and all older ones."""
    if not _driver_of(lent).closed:
        return False
    assert isinstance(engine.pool, InstrumentedPool)
    engine.pool.invalidate_checked_out(lent, error)
    return True
