"""Requests that wait for a connection of the pool tell the guard so; whoever else takes one does not."""

import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from flask import Flask
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError, ResourceClosedError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from control_plane.platform.db.database import db, read_only, transaction
from control_plane.platform.db.pool import InstrumentedPool
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import BUFFER, SeriesKey

SIGNAL = "database_pool_wait_slow"


@pytest.fixture
def counted(app: Flask) -> Callable[[], tuple[int, int]]:
    """Good and bad outcomes since the last look; nothing has been counted before the test."""

    def look() -> tuple[int, int]:
        good, bad, _ = BUFFER.get(app).take()
        return good[SeriesKey(SIGNAL)], bad[SeriesKey(SIGNAL)]

    look()
    return look


@pytest.mark.parametrize(("bound", "expected"), [(3600.0, (2, 0)), (-1.0, (0, 2))])
def test_a_wait_is_slow_by_the_bound_of_its_alert(
    app: Flask, counted: Callable[[], tuple[int, int]], bound: float, expected: tuple[int, int]
) -> None:
    with app.test_request_context():
        signals.set_bounds({SIGNAL: bound})
        with transaction() as session:
            session.execute(text("SELECT 1"))
        with read_only() as session:
            session.execute(text("SELECT 1"))
    assert counted() == expected


def test_a_connection_that_the_engine_itself_is_asked_for_is_timed_too(
    app: Flask, counted: Callable[[], tuple[int, int]]
) -> None:
    with app.test_request_context(), db.engine.connect():
        pass
    assert sum(counted()) == 1


def test_work_that_no_request_waits_for_is_no_evidence(app: Flask, counted: Callable[[], tuple[int, int]]) -> None:
    with app.app_context(), read_only() as session:
        session.execute(text("SELECT 1"))
    assert counted() == (0, 0)


def test_a_connection_that_ends_with_its_first_question_is_an_outage(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pooler gives such a connection while its own server is away."""

    def closed(*_: object) -> None:
        raise ResourceClosedError("This Connection is closed")

    engine = create_engine(database_url, poolclass=InstrumentedPool)
    monkeypatch.setattr(engine.dialect, "initialize", closed)
    with pytest.raises(OperationalError, match="closed as soon as it was made"), engine.connect():
        pass


def test_whoever_gets_no_connection_in_time_has_waited_longest(
    app: Flask, counted: Callable[[], tuple[int, int]]
) -> None:
    with app.test_request_context():
        signals.set_bounds({SIGNAL: 3600.0})
        small = create_engine(db.engine.url, poolclass=InstrumentedPool, pool_size=1, max_overflow=0, pool_timeout=0)
        with small.connect(), pytest.raises(PoolTimeoutError):
            small.connect()
        small.dispose()
    assert counted() == (1, 1)


@pytest.mark.database("postgresql")
def test_of_a_connection_that_was_lost_its_making_anew_is_part_of_the_wait(
    app: Flask, counted: Callable[[], tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = psycopg.connect

    def make_slowly(*arguments: Any, **options: Any) -> object:
        time.sleep(0.05)
        return made(*arguments, **options)

    with app.test_request_context():
        signals.set_bounds({SIGNAL: 0.04})
        with db.engine.connect() as lost:
            lost.invalidate(psycopg.OperationalError("gone"))
        counted()
        monkeypatch.setattr(psycopg, "connect", make_slowly)
        with db.engine.connect() as again:
            assert again.connection.driver_connection is not None
    assert counted() == (0, 1)
