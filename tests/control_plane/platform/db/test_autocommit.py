"""A statement that is its own transaction behaves towards everybody else as if SQLAlchemy had executed it."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime

import psycopg
import pytest
from flask import Flask
from sqlalchemy import Engine, text
from sqlalchemy.exc import DataError, OperationalError, ProgrammingError

from control_plane.platform.db import autocommit
from control_plane.platform.db.database import db, read_only, transaction
from control_plane.platform.observability.signals import BUFFER, SeriesKey
from tests.outages import exhausted, unreachable

pytestmark = pytest.mark.database("postgresql")


@pytest.fixture
def engine(app: Flask) -> Engine:
    with app.app_context(), transaction() as session:
        session.execute(text("CREATE TABLE note (word text)"))
        return db.engine


WRITE = "INSERT INTO note VALUES (%s) RETURNING word"
NOW = datetime(2027, 3, 14, 15, 9, 26, 535897, tzinfo=UTC)
BACKEND = "SELECT pg_backend_pid()"


def words() -> list[str]:
    with read_only() as session:
        return list(session.scalars(text("SELECT word FROM note ORDER BY word")))


def test_it_is_committed_once_it_returns_and_the_connection_goes_back(app: Flask, engine: Engine) -> None:
    with app.app_context():
        assert [autocommit.fetch_all(WRITE, (word,)) for word in "ab"] == [[("a",)], [("b",)]]
        assert words() == ["a", "b"]
        assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
        # Whoever gets that connection next has a transaction again.
        with transaction() as session:
            session.execute(text("INSERT INTO note VALUES ('c')"))
            session.connection().rollback()
        assert words() == ["a", "b"]


@pytest.mark.parametrize(
    ("statement", "values", "expected"),
    [
        ("SELECT %s::int, %s::text, '100%%'", (7, None), (7, None, "100%")),
        ("SELECT %(a)s::int + %(a)s::int, %(b)s::text[]", {"b": ["x", None], "a": 7}, (14, ["x", None])),
        ("SELECT %s::timestamptz, %s::boolean, 'a'", (NOW, True), (NOW, True, "a")),
    ],
)
def test_values_go_in_and_come_out_in_their_types(
    app: Flask, engine: Engine, statement: str, values: autocommit.Values, expected: tuple[object, ...]
) -> None:
    with app.app_context():
        assert autocommit.fetch_all(statement, values) == autocommit.fetch_all(statement, values) == [expected]


def test_a_value_goes_in_and_comes_out_as_postgresql_writes_it(app: Flask, engine: Engine) -> None:
    with app.app_context():
        asked = (b"7", None, "ä".encode())
        statement = "SELECT json_build_array(%s::int, %s::text, %s::text)"
        assert (
            autocommit.fetch_value(statement, asked)
            == autocommit.fetch_value(statement, asked)
            == '[7, null, "ä"]'.encode()
        )


def test_a_text_with_a_zero_byte_is_refused_and_not_cut_off_there(app: Flask, engine: Engine) -> None:
    with app.app_context():
        with pytest.raises(DataError):
            autocommit.fetch_value(WRITE, (b"a\0b",))
        assert words() == []


def test_one_statement_is_prepared_once_whatever_its_values(app: Flask, engine: Engine) -> None:
    with app.app_context():
        for number in (1, 40_000, 3_000_000_000):
            assert autocommit.fetch_all("SELECT %s::bigint", (number,)) == [(number,)]
        found = autocommit.fetch_all("SELECT statement FROM pg_prepared_statements WHERE statement LIKE '%%bigint'", ())
    assert found == [("SELECT $1::bigint",)]


def test_a_transaction_that_was_rolled_back_forgets_statements_and_costs_no_answer(app: Flask, engine: Engine) -> None:
    with app.app_context():
        for _ in range(3):
            (backend,) = autocommit.fetch_all(BACKEND, ())
            with suppress(ZeroDivisionError), transaction() as session:
                for _ in range(8):  # so often that the driver prepares it
                    assert session.execute(text(BACKEND)).one() == backend
                raise ZeroDivisionError
            assert words() == []
            assert autocommit.fetch_all(BACKEND, ()) == autocommit.fetch_all(BACKEND, ()) == [backend]


def test_an_error_comes_in_the_words_of_sqlalchemy_and_names_no_parameter(app: Flask, engine: Engine) -> None:
    with app.app_context():
        with pytest.raises(ProgrammingError) as caught:
            autocommit.fetch_all("SELECT %s::text FROM nowhere", ("secret",))
        assert isinstance(caught.value.orig, psycopg.errors.UndefinedTable)
        assert "secret" not in str(caught.value)
        assert autocommit.fetch_all(WRITE, ("a",)) == [("a",)]


def test_what_takes_long_even_when_alone_is_asked_more_than_once_at_a_time(app: Flask, engine: Engine) -> None:
    far, near = "SELECT 1 FROM pg_sleep(0.003)", "SELECT 2"
    with app.app_context():
        for statement in (far, near):
            assert autocommit._prepared_statement(statement).line.places == 1
            for _ in range(autocommit.LATEST):
                autocommit.fetch_all(statement, ())
    assert autocommit._prepared_statement(far).line.places >= 4
    assert autocommit._prepared_statement(near).line.places < autocommit._prepared_statement(far).line.places


def test_a_restart_costs_one_answer_however_many_connections_it_cost(app: Flask, engine: Engine) -> None:
    def backend(_: int) -> int:
        with app.app_context():
            return int(autocommit.fetch_all("SELECT pg_backend_pid() FROM pg_sleep(0.1)", ())[0][0])

    with app.app_context(), ThreadPoolExecutor(4) as pool:
        before = set(pool.map(backend, range(4)))
        assert len(before) > 1
        with psycopg.connect(engine.url.set(drivername="postgresql").render_as_string(hide_password=False)) as other:
            for each in before:
                other.execute("SELECT pg_terminate_backend(%s, 5000)", (each,))
        with pytest.raises(OperationalError) as caught:
            autocommit.fetch_all(BACKEND, ())
        assert caught.value.connection_invalidated
        assert not before & set(pool.map(backend, range(4)))


def test_without_a_connection_it_is_an_outage(app: Flask, engine: Engine) -> None:
    with app.app_context():
        with unreachable(app), pytest.raises(OperationalError):
            autocommit.fetch_all(BACKEND, ())
        assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
        with exhausted(app), pytest.raises(Exception, match="QueuePool limit"):
            autocommit.fetch_all(BACKEND, ())
        assert autocommit.fetch_all(WRITE, ("a",)) == [("a",)]


def test_the_guard_learns_how_the_statements_of_requests_went(app: Flask, engine: Engine) -> None:
    counted = BUFFER.get(app)
    with app.app_context():
        counted.take()
        autocommit.fetch_all(WRITE, ("a",))
        assert not counted.filled
    with app.test_request_context():
        autocommit.fetch_all(WRITE, ("a",))
        good, _, _ = counted.take()
        assert good[SeriesKey("database_error")] == good[SeriesKey("database_query_slow")] == 1
        with transaction() as session:
            session.execute(text("LOCK TABLE note"))
            autocommit.fetch_all("SELECT set_config('lock_timeout', '10', false)", ())
            counted.take()
            with pytest.raises(OperationalError):
                autocommit.fetch_all("SELECT 1 FROM note", ())
            _, bad, _ = counted.take()
        assert bad[SeriesKey("database_error")] == 1
