"""A look is one statement without a transaction around it, and leaves the connection as it was."""

import pytest
from flask import Flask
from sqlalchemy import text

from control_plane.platform.db.database import autocommit, db, transaction

WRITE = "INSERT INTO lease (name, holder, term, expires_at) VALUES ('a', '', 1, '2026-03-02T09:30:00.000000+00:00')"
COUNT = "SELECT count(*) FROM lease WHERE name = 'a'"


def test_a_look_sees_what_is_committed_and_waits_for_no_writer(app: Flask) -> None:
    with app.app_context(), transaction() as session:
        session.execute(text(WRITE))
        with autocommit() as look:
            assert look.scalar(text(COUNT)) == 0
    with app.app_context(), autocommit() as look:
        assert look.scalar(text(COUNT)) == 1


def test_after_a_look_a_transaction_is_one_again(app: Flask) -> None:
    with app.app_context():
        with autocommit() as look:
            look.scalar(text(COUNT))
        with db.engine.connect() as connection:
            connection.execute(text(WRITE))
            connection.rollback()
        with autocommit() as look:
            assert look.scalar(text(COUNT)) == 0


@pytest.mark.database("postgresql")
def test_two_looks_are_two_transactions(app: Flask) -> None:
    with app.app_context(), autocommit() as look:
        first, second = (look.scalar(text("SELECT now()")) for _ in range(2))
    assert first != second
