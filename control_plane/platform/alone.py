"""One statement that is a transaction of its own, on PostgreSQL: one round trip, and the driver without SQLAlchemy.

SQLAlchemy takes some 120 µs of CPU for what the driver does in 25, which counts beside a statement of 250. Pool, errors
and what is told of a statement are as if SQLAlchemy had executed it.
"""

from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any

import psycopg
from sqlalchemy import Engine
from sqlalchemy.pool import PoolProxiedConnection

from control_plane.platform.checkouts import TimedPool
from control_plane.platform.database import db
from control_plane.platform.told import in_sqlalchemys_words, told

Values = Sequence[Any] | Mapping[str, Any]


def rows_of(statement: str, parameters: Values) -> list[tuple[Any, ...]]:
    """The rows that `statement` answers, committed. Raises SQLAlchemy's DBAPIError, and nothing was done then."""
    engine = db.engine
    try:
        taken = engine.raw_connection()
    except psycopg.Error as error:
        raise in_sqlalchemys_words(engine.dialect, error, psycopg.Error, None) from error
    started = perf_counter()
    try:
        rows = _executed(taken, statement, parameters)
    except psycopg.Error as error:
        is_lost = _is_lost(engine, taken, error)
        refused = in_sqlalchemys_words(engine.dialect, error, psycopg.Error, statement, is_lost=is_lost)
        told().failed(perf_counter() - started, refused)
        raise refused from error
    finally:
        taken.close()
    told().answered(perf_counter() - started, statement)
    return rows


def _executed(taken: PoolProxiedConnection, statement: str, parameters: Values) -> list[tuple[Any, ...]]:
    driver = _driver_of(taken)
    driver.autocommit = True
    try:
        rows = driver.cursor().execute(statement, parameters, prepare=True).fetchall()
    except psycopg.Error:
        if not driver.closed:
            driver.autocommit = False
        raise
    except BaseException:
        taken.invalidate()  # interrupted, with an answer under way that nobody waits for
        raise
    driver.autocommit = False
    return rows


def _driver_of(taken: PoolProxiedConnection) -> psycopg.Connection[tuple[Any, ...]]:
    driver = taken.driver_connection
    assert isinstance(driver, psycopg.Connection)
    return driver


def _is_lost(engine: Engine, taken: PoolProxiedConnection, error: psycopg.Error) -> bool:
    """Whether the connection is, and with it the others of its age; the pool is told."""
    if not _driver_of(taken).closed:
        return False
    assert isinstance(engine.pool, TimedPool)
    engine.pool.lose(taken, error)
    return True
