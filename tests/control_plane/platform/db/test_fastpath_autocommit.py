"""A statement that is its own transaction behaves towards everybody else as if SQLAlchemy had executed it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from flask import Flask
from sqlalchemy import Engine, TextClause, text
from sqlalchemy.exc import DataError, OperationalError, ProgrammingError

from control_plane.platform.db.database import autocommit, db, read_only, transaction
from control_plane.platform.db.fair_semaphore import LATEST
from control_plane.platform.db.fastpath import NOTHING, CompiledStatement, Values
from control_plane.platform.observability.signals import BUFFER, SeriesKey
from tests.outages import exhausted, unreachable
from tests.statements import connections_in_use

pytestmark = pytest.mark.database("postgresql")


@pytest.fixture
def engine(app: Flask) -> Engine:
    with app.app_context(), transaction() as session:
        session.execute(text("CREATE TABLE note (word text)"))
        return db.engine


WRITE = text("INSERT INTO note VALUES (:word) RETURNING word")
NOW = datetime(2027, 3, 14, 15, 9, 26, 535897, tzinfo=UTC)
BACKEND = text("SELECT pg_backend_pid()")


def answer(statement: TextClause, values: Values = NOTHING) -> list[tuple[Any, ...]]:
    """Return the rows of a statement that is a transaction of its own."""
    with autocommit() as session:
        return list(CompiledStatement(statement).fetch_all(session, values))


def value(statement: TextClause, values: Values = NOTHING) -> list[tuple[Any, ...]]:
    """Fetch one value with texts for parameters, by libpq's own call."""
    texts = [str(each).encode() for each in values.values()]
    return [(CompiledStatement(statement).fetch_value(texts).decode(),)]


Ask = Callable[..., list[tuple[Any, ...]]]
BOTH_WAYS = pytest.mark.parametrize("ask", [answer, value])


def notes() -> list[str]:
    with read_only() as session:
        return list(session.scalars(text("SELECT word FROM note ORDER BY word")))


@BOTH_WAYS
def test_it_is_committed_once_it_returns_and_the_connection_goes_back(app: Flask, engine: Engine, ask: Ask) -> None:
    with app.app_context():
        assert [ask(WRITE, {"word": word}) for word in "ab"] == [[("a",)], [("b",)]]
        assert notes() == ["a", "b"]
        assert connections_in_use(engine) == 0
        # Whoever gets that connection next has a transaction again.
        with transaction() as session:
            session.execute(text("INSERT INTO note VALUES ('c')"))
            session.connection().rollback()
        assert notes() == ["a", "b"]


@pytest.mark.parametrize(
    ("statement", "values", "expected"),
    [
        ("SELECT CAST(:a AS int), CAST(:b AS text), '100%'", {"a": 7, "b": None}, (7, None, "100%")),
        ("SELECT CAST(:a AS int) + CAST(:a AS int), CAST(:b AS text[])", {"b": ["x", None], "a": 7}, (14, ["x", None])),
        ("SELECT CAST(:a AS timestamptz), CAST(:b AS boolean), 'a'", {"a": NOW, "b": True}, (NOW, True, "a")),
    ],
)
def test_values_go_in_and_come_out_in_their_types(
    app: Flask, engine: Engine, statement: str, values: Values, expected: tuple[object, ...]
) -> None:
    with app.app_context():
        assert answer(text(statement), values) == answer(text(statement), values) == [expected]


def test_a_value_goes_in_and_comes_out_as_postgresql_writes_it(app: Flask, engine: Engine) -> None:
    with app.app_context():
        texts = (b"7", None, "ä".encode())
        row = CompiledStatement(
            text(
                "SELECT json_build_array(CAST(:a AS int), CAST(:b AS text), CAST(:c AS text), '100%', CAST(:a AS int))"
            )
        )
        assert row.fetch_value(texts) == row.fetch_value(texts) == '[7, null, "ä", "100%", 7]'.encode()


def test_a_text_with_a_zero_byte_is_refused_and_not_cut_off_there(app: Flask, engine: Engine) -> None:
    with app.app_context():
        with pytest.raises(DataError):
            CompiledStatement(WRITE).fetch_value((b"a\0b",))
        assert notes() == []


def test_one_statement_is_prepared_once_whatever_its_values(app: Flask, engine: Engine) -> None:
    with app.app_context():
        same = CompiledStatement(text("SELECT CAST(:number AS bigint)"))
        for number in (b"1", b"40000", b"3000000000"):
            assert same.fetch_value((number,)) == number
        found = answer(text("SELECT statement FROM pg_prepared_statements WHERE statement LIKE '%bigint)'"))
    assert found == [("SELECT CAST($1 AS bigint)",)]


def test_a_transaction_that_was_rolled_back_forgets_statements_and_costs_no_answer(app: Flask, engine: Engine) -> None:
    with app.app_context():
        backend = CompiledStatement(BACKEND)
        for _ in range(3):
            before = backend.fetch_value(())
            with suppress(ZeroDivisionError), transaction() as session:
                for _ in range(8):  # so often that the driver prepares it
                    assert session.scalar(BACKEND) == int(before)
                raise ZeroDivisionError
            assert notes() == []
            assert backend.fetch_value(()) == backend.fetch_value(()) == before


@BOTH_WAYS
def test_an_error_comes_in_the_words_of_sqlalchemy_and_names_no_parameter(app: Flask, engine: Engine, ask: Ask) -> None:
    with app.app_context():
        with pytest.raises(ProgrammingError) as caught:
            ask(text("SELECT CAST(:a AS text) FROM nowhere"), {"a": "secret"})
        assert isinstance(caught.value.orig, psycopg.errors.UndefinedTable)
        assert "secret" not in str(caught.value)
        assert ask(WRITE, {"word": "a"}) == [("a",)]


def test_what_takes_long_even_when_alone_is_asked_more_than_once_at_a_time(app: Flask, engine: Engine) -> None:
    far = CompiledStatement(text("SELECT 1 FROM pg_sleep(0.003)"))
    near = CompiledStatement(text("SELECT 2"))
    with app.app_context():
        for statement in (far, near):
            assert statement.semaphore.permits == 1
            for _ in range(LATEST):
                statement.fetch_value(())
    assert far.semaphore.permits >= 4
    assert near.semaphore.permits < far.semaphore.permits


@BOTH_WAYS
def test_a_restart_costs_one_answer_however_many_connections_it_cost(app: Flask, engine: Engine, ask: Ask) -> None:
    slow = CompiledStatement(text("SELECT pg_backend_pid() FROM pg_sleep(0.1)"))

    def backend(_: int) -> int:
        with app.app_context():
            return int(slow.fetch_value(()))

    with app.app_context(), ThreadPoolExecutor(4) as pool:
        before = set(pool.map(backend, range(4)))
        assert len(before) > 1
        with psycopg.connect(engine.url.set(drivername="postgresql").render_as_string(hide_password=False)) as other:
            for each in before:
                other.execute("SELECT pg_terminate_backend(%s, 5000)", (each,))
        with pytest.raises(OperationalError) as caught:
            ask(BACKEND)
        assert caught.value.connection_invalidated
        assert not before & set(pool.map(backend, range(4)))


@BOTH_WAYS
def test_without_a_connection_it_is_an_outage(app: Flask, engine: Engine, ask: Ask) -> None:
    with app.app_context():
        with unreachable(app), pytest.raises(OperationalError):
            ask(BACKEND)
        assert connections_in_use(engine) == 0
        with exhausted(app), pytest.raises(Exception, match="QueuePool limit"):
            ask(BACKEND)
        assert ask(WRITE, {"word": "a"}) == [("a",)]


@BOTH_WAYS
def test_the_guard_learns_how_the_statements_of_requests_went(app: Flask, engine: Engine, ask: Ask) -> None:
    counted = BUFFER.get(app)
    with app.app_context():
        counted.take()
        ask(WRITE, {"word": "a"})
        assert not counted.filled
    with app.test_request_context():
        ask(WRITE, {"word": "a"})
        good, _, _ = counted.take()
        assert good[SeriesKey("database_error")] == good[SeriesKey("database_query_slow")] == 1
        with transaction() as session:
            session.execute(text("LOCK TABLE note"))
            answer(text("SELECT set_config('lock_timeout', '10', false)"))
            counted.take()
            with pytest.raises(OperationalError):
                ask(text("SELECT 1 FROM note"))
            _, bad, _ = counted.take()
        assert bad[SeriesKey("database_error")] == 1
