"""A lock that somebody else holds is told apart from every other error, by the databases' own words for it."""

import threading
from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from sqlalchemy import event, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from control_plane.platform.db.database import db, read_only, transaction
from control_plane.platform.db.errors import is_lock_timeout, outage_of
from control_plane.platform.observability.signals import BUFFER, SeriesKey
from tests import outages

SIGNAL, ERROR = "database_lock_failure", "database_error"
LOCK = text("UPDATE lease SET term = term WHERE name = :name")

GOOD, HELD, FAILED, NONE = (1, 0, 0), (0, 1, 1), (0, 0, 1), (0, 0, 0)

Counted = Callable[[], tuple[int, int, int]]


@pytest.fixture
def counted(app: Flask) -> Counted:
    """Since the last look: locks that were to be had, those that were not, and errors of any kind."""

    def look() -> tuple[int, int, int]:
        good, bad, _ = BUFFER.get(app).take()
        return good[SeriesKey(SIGNAL)], bad[SeriesKey(SIGNAL)], bad[SeriesKey(ERROR)]

    return look


@pytest.fixture
def two_rows(app: Flask) -> None:
    """Two rows that can be locked."""
    with app.app_context(), transaction() as session:
        for name in ("a", "b"):
            words = "INSERT INTO lease (name, holder, term, expires_at) VALUES (:name, '', 1, :at)"
            session.execute(text(words), {"name": name, "at": "2026-03-02T09:30:00.000000+00:00"})


@pytest.fixture
def somebody_else(app: Flask) -> Iterator[Connection]:
    """Another transaction, in the midst of it."""
    with app.app_context(), db.engine.connect() as connection:
        yield connection
        connection.rollback()


@pytest.mark.usefixtures("two_rows")
@pytest.mark.database("postgresql")
def test_a_lock_that_is_not_to_be_had_in_time_counts_and_another_mistake_does_not(
    app: Flask, somebody_else: Connection, counted: Counted
) -> None:
    somebody_else.execute(LOCK, {"name": "a"})
    with app.test_request_context():
        with pytest.raises(OperationalError), transaction() as session:  # noqa: PT012 - one prepares the other
            session.execute(text("SET LOCAL lock_timeout = 20"))
            counted()
            session.execute(LOCK, {"name": "a"})
        assert counted() == HELD
        with pytest.raises(DBAPIError, match="division by zero"), transaction() as session:
            session.execute(text("SELECT 1/0"))
        with transaction() as session:
            session.execute(LOCK, {"name": "b"})
        assert counted() == GOOD


@pytest.mark.usefixtures("two_rows")
@pytest.mark.database("postgresql")
def test_of_two_that_wait_for_each_other_the_one_that_is_given_up_counts(
    app: Flask, somebody_else: Connection, counted: Counted
) -> None:
    somebody_else.execute(text("SET deadlock_timeout = '10s'"))
    somebody_else.execute(LOCK, {"name": "a"})
    waiting = threading.Thread(target=somebody_else.execute, args=[LOCK, {"name": "b"}])
    with app.test_request_context():
        with pytest.raises(OperationalError, match="deadlock"), transaction() as session:  # noqa: PT012 - in a circle
            session.execute(text("SET LOCAL deadlock_timeout = 20"))
            session.execute(LOCK, {"name": "b"})
            waiting.start()
            counted()
            session.execute(LOCK, {"name": "a"})
        waiting.join()
        assert counted() == HELD


@pytest.mark.database("postgresql")
def test_a_transaction_that_has_to_be_run_again_counts(app: Flask, counted: Counted) -> None:
    with app.test_request_context():
        with pytest.raises(OperationalError), transaction() as session:
            session.execute(text("DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = 'serialization_failure'; END $$"))
        assert counted() == HELD


@pytest.mark.database("sqlite")
def test_a_file_that_another_process_writes_to_counts_though_nothing_has_begun(
    app: Flask, somebody_else: Connection, counted: Counted
) -> None:
    somebody_else.execute(text("SELECT 1"))
    with app.test_request_context():
        event.listen(db.engine, "checkout", lambda driver, *_: driver.execute("PRAGMA busy_timeout = 0"))
        counted()
        with pytest.raises(OperationalError, match="locked"), transaction():
            pass
        assert counted() == HELD


@pytest.mark.database("sqlite")
def test_work_that_no_request_waits_for_is_no_evidence(app: Flask, counted: Counted) -> None:
    with app.app_context(), transaction() as session:
        session.execute(text("SELECT 1"))
    with app.test_request_context(), transaction() as session:
        session.execute(text("SELECT 1"))
    assert counted() == GOOD


def test_no_other_error_is_taken_for_a_lock() -> None:
    assert not is_lock_timeout(None)
    assert not is_lock_timeout(ConnectionRefusedError())


def test_who_got_no_connection_in_time_is_told_so_and_not_the_name_of_an_exception(app: Flask) -> None:
    with outages.exhausted(app), app.app_context(), pytest.raises(PoolTimeoutError) as found, read_only():
        pass
    assert outage_of(found.value) == "every connection to it is taken"
