"""A prepared statement says and does what SQLAlchemy would have said and done, whoever executes it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    MetaData,
    Table,
    Text,
    bindparam,
    func,
    insert,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.exc import IntegrityError, OperationalError

from control_plane.platform.db.database import UtcDateTime, autocommit, db, execute_core, per_dialect, transaction
from control_plane.platform.db.fastpath import CompiledStatement
from control_plane.platform.observability.signals import BUFFER, SeriesKey
from tests.statements import connections_in_use

NOTES = Table(
    "note",
    MetaData(),
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("word", Text, nullable=False),
    Column("at", UtcDateTime),
    Column("beta", Boolean),
    Column("said", JSON),
    Column("rank", BigInteger, default=lambda: 7),
)
WRITE = insert(NOTES)
ABSENT = per_dialect(lambda insert: insert(NOTES).on_conflict_do_nothing())
BY_RANK = select(NOTES, literal("held").label("held")).where(NOTES.c.rank >= bindparam("least")).order_by(NOTES.c.id)
RAISE = update(NOTES).where(NOTES.c.id == bindparam("of")).values(rank=NOTES.c.rank + bindparam("by"))
TOKYO = timezone(timedelta(hours=9))


def note(number: int, **changed: Any) -> dict[str, Any]:
    blank = {"id": number, "word": "a", "at": None, "beta": None, "said": None, "rank": 1}
    return blank | changed


ROWS = [
    note(1, at=datetime(2026, 3, 29, 3, 30, tzinfo=TOKYO), beta=True, said={"it's": ["é", None, 1.5]}),
    note(2, at=datetime(2026, 3, 29, 3, 30, 0, 1, tzinfo=UTC), beta=False, said=[]),
    note(3),
]


@pytest.fixture(autouse=True)
def in_the_app(app: Flask) -> Iterator[None]:
    with app.app_context():
        NOTES.metadata.create_all(db.engine)
        yield
        NOTES.metadata.drop_all(db.engine)


def test_values_go_in_and_come_out_as_with_sqlalchemy() -> None:
    with transaction() as session:
        CompiledStatement(WRITE).execute_many(session, ROWS)
        found = CompiledStatement(BY_RANK).fetch_all(session, {"least": 1})
        expected = execute_core(session, BY_RANK, {"least": 1}).all()
    assert [tuple(row) for row in found] == [tuple(row) for row in expected]
    assert [(row.id, row.at, row.beta, row.said, row.held) for row in found] == [
        (each["id"], each["at"], each["beta"], each["said"], "held") for each in ROWS
    ]
    assert found[0].at.utcoffset() == timedelta(0)


def test_what_it_writes_sqlalchemy_reads() -> None:
    with transaction() as session:
        CompiledStatement(WRITE).execute_many(session, ROWS)
        execute_core(session, WRITE, [each | {"id": each["id"] + 10} for each in ROWS])
        written = execute_core(session, select(NOTES).order_by(NOTES.c.id)).all()
    assert [tuple(row)[1:] for row in written[:3]] == [tuple(row)[1:] for row in written[3:]]


def test_a_statement_that_answers_one_row_at_most() -> None:
    newest = CompiledStatement(select(func.max(NOTES.c.id).label("newest")))
    one = CompiledStatement(BY_RANK)
    with transaction() as session:
        assert newest.fetch_one(session).newest is None
        assert one.fetch_one(session, {"least": 0}) is None
        CompiledStatement(WRITE).execute_many(session, ROWS)
        assert newest.fetch_one(session).newest == 3
        with pytest.raises(AssertionError):
            one.fetch_one(session, {"least": 0})


def test_a_change_says_how_many_rows_it_touched_and_can_answer() -> None:
    written = CompiledStatement(insert(NOTES).returning(NOTES.c.rank))
    with transaction() as session:
        assert written.fetch_one(session, note(1)).rank == 1
        assert [CompiledStatement(ABSENT).execute(session, note(number)) for number in (1, 2)] == [0, 1]
        assert [CompiledStatement(RAISE).execute(session, {"of": number, "by": 5}) for number in (2, 3)] == [1, 0]
        CompiledStatement(RAISE).execute_many(session, [{"of": 1, "by": 1}, {"of": 2, "by": 1}])
        CompiledStatement(RAISE).execute_many(session, [])
        assert [row.rank for row in CompiledStatement(BY_RANK).fetch_all(session, {"least": 0})] == [2, 7]


def test_it_belongs_to_the_transaction() -> None:
    def fail() -> None:
        with transaction() as session:
            CompiledStatement(WRITE).execute(session, note(1))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with transaction() as session:
        assert CompiledStatement(BY_RANK).fetch_all(session, {"least": 0}) == []


def test_a_look_is_answered_without_a_transaction_and_beside_sqlalchemys_own() -> None:
    everything = CompiledStatement(BY_RANK)
    with transaction() as session:
        CompiledStatement(WRITE).execute_many(session, ROWS)
    with autocommit() as session:
        before = everything.fetch_all(session, {"least": 1})
        assert session.scalar(select(func.count()).select_from(NOTES)) == len(ROWS)
        assert everything.fetch_all(session, {"least": 1}) == before
        assert len(execute_core(session, BY_RANK, {"least": 1}).all()) == len(ROWS)
    assert connections_in_use(db.engine) == 0


@pytest.mark.database("postgresql")
def test_a_connection_that_is_lost_costs_one_answer() -> None:
    backend = CompiledStatement(select(func.pg_backend_pid().label("pid")))

    def lose() -> None:
        with transaction() as session:
            lost = backend.fetch_one(session).pid
            with db.engine.connect() as other:
                other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": lost})
            backend.fetch_one(session)

    with pytest.raises(OperationalError) as caught:
        lose()
    assert caught.value.connection_invalidated
    with transaction() as session:
        assert backend.fetch_one(session).pid
    assert connections_in_use(db.engine) == 0


def test_one_insert_may_set_other_columns_at_another_time() -> None:
    write = CompiledStatement(WRITE)
    with transaction() as session:
        write.execute(session, note(1))
        write.execute(session, {"id": 2, "word": "b", "rank": 3})
        assert [row.word for row in CompiledStatement(BY_RANK).fetch_all(session, {"least": 0})] == ["a", "b"]


def test_a_value_that_is_missing_is_an_error_and_no_null() -> None:
    with transaction() as session:
        CompiledStatement(WRITE).execute(session, note(1))
        with pytest.raises(KeyError):
            CompiledStatement(RAISE).execute(session, {"of": 1})


def test_what_python_would_have_to_compute_is_refused() -> None:
    with transaction() as session, pytest.raises(AssertionError, match="has to be given"):
        CompiledStatement(WRITE).execute(session, {"id": 1, "word": "a"})


def test_an_error_comes_in_the_words_of_sqlalchemy_and_names_no_value() -> None:
    write = CompiledStatement(WRITE)

    def twice() -> None:
        with transaction() as session:
            write.execute(session, note(1, word="secret"))
            write.execute(session, note(1, word="secret"))

    with pytest.raises(IntegrityError) as caught:
        twice()
    assert "INSERT INTO note" in str(caught.value)
    assert caught.value.params is None
    assert "secret" not in str(caught.value)


def test_the_guard_learns_how_the_statements_of_requests_went(app: Flask) -> None:
    counted = BUFFER.get(app)
    with transaction() as session:
        counted.take()
        CompiledStatement(BY_RANK).fetch_all(session, {"least": 0})
        assert not counted.filled, "nobody waited for it"
    with app.test_request_context(), transaction() as session:
        counted.take()
        CompiledStatement(BY_RANK).fetch_all(session, {"least": 0})
        good, _, _ = counted.take()
        assert good[SeriesKey("database_error")] == good[SeriesKey("database_query_slow")] == 1


@pytest.mark.database("sqlite")
def test_the_guard_learns_what_the_database_refused_a_request(app: Flask) -> None:
    counted = BUFFER.get(app)
    nowhere = CompiledStatement(select(Table("nowhere", MetaData(), Column("id", BigInteger))))
    with app.test_request_context(), transaction() as session:
        counted.take()
        with pytest.raises(OperationalError):
            nowhere.fetch_all(session)
        _, bad, _ = counted.take()
    assert bad[SeriesKey("database_error")] == 1
