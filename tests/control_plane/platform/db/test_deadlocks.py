"""Two transactions in a circle: PostgreSQL undoes one of them, which is done again, and both are done once."""

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from control_plane.platform.db import deadlocks
from control_plane.platform.db.database import db, read_only

pytestmark = pytest.mark.database("postgresql")
SECONDS = 30


@pytest.fixture
def rows(app: Flask) -> Flask:
    """Two rows, each at 0."""
    with app.app_context(), db.engine.begin() as connection:
        connection.execute(text("CREATE TABLE counted (id integer PRIMARY KEY, times integer NOT NULL)"))
        connection.execute(text("INSERT INTO counted VALUES (1, 0), (2, 0)"))
    return app


def count(session: Session, row: int) -> None:
    session.execute(text("UPDATE counted SET times = times + 1 WHERE id = :row"), {"row": row})


def test_who_met_in_a_circle_is_done_once_each(rows: Flask) -> None:
    barrier = threading.Barrier(2, timeout=SECONDS)
    attempts: list[int] = []

    def both(first: int, second: int) -> None:
        def work(session: Session) -> None:
            attempts.append(first)
            count(session, first)
            if attempts.count(first) == 1:
                barrier.wait()
            count(session, second)

        with rows.app_context():
            deadlocks.in_transaction(work)

    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(both, 1, 2), pool.submit(both, 2, 1)]:
            done.result(SECONDS)
    assert len(attempts) == 3
    with rows.app_context(), read_only() as session:
        assert session.scalars(text("SELECT times FROM counted")).all() == [2, 2]


def test_what_is_undone_each_time_is_told_and_other_errors_at_once(rows: Flask) -> None:
    attempts: list[str] = []

    def fail(session: Session, code: str) -> None:
        attempts.append(code)
        session.execute(text(f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{code}'; END $$"))

    with rows.app_context():
        for code in ("40P01", "40001", "55P03", "23505"):
            with pytest.raises(DBAPIError):
                deadlocks.in_transaction(partial(fail, code=code))
    assert attempts == ["40P01"] * 3 + ["40001"] * 3 + ["55P03", "23505"]
