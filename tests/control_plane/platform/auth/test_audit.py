"""The chain of the audit trail holds through concurrency and shows any tampering."""

import threading
from datetime import datetime

import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from control_plane.change_context import ChangeContext
from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only, transaction
from tests import tampering


def record(number: int, now: datetime) -> None:
    with transaction() as session:
        audit.record(
            session,
            ChangeContext(now, "alice", f"Entry {number}."),
            action="test",
            subject="chain",
            before=None,
            after={"n": number, "ü": [1.5, None, True]},
        )


def record_and_fail(now: datetime) -> None:
    with transaction() as session:
        audit.record(session, ChangeContext(now, "alice", "Lost."), action="test", subject="chain")
        raise ZeroDivisionError


def verified() -> audit.Verification:
    with read_only() as session:
        return audit.verify(session)


def test_entries_of_concurrent_writers_form_one_chain(app: Flask, now: datetime) -> None:
    with app.app_context():
        checked_before = verified().checked

    def write(start: int) -> None:
        with app.app_context():
            for number in range(start, start + 5):
                record(number, now)

    threads = [threading.Thread(target=write, args=[start]) for start in range(0, 30, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with app.app_context():
        assert (verified().checked, verified().intact) == (checked_before + 30, True)


CHANGES = (
    "UPDATE audit_entry SET reason = 'Nothing happened.' WHERE id = :id",
    "UPDATE audit_entry SET actor = 'mallory' WHERE id = :id",
    "DELETE FROM audit_entry WHERE id = :id",
)


@pytest.mark.parametrize("change", CHANGES)
def test_the_database_itself_refuses_to_change_or_remove_an_entry(app: Flask, now: datetime, change: str) -> None:
    with app.app_context():
        record(1, now)
        with pytest.raises(DBAPIError, match="append-only"), transaction() as session:
            session.execute(text(change), {"id": 1})


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_changed_or_removed_is_found(app: Flask, now: datetime, change: str) -> None:
    with app.app_context():
        for number in range(5):
            record(number, now)
        with read_only() as session:
            victim = audit.latest(session)[2].id
        tampering.allow()
        with transaction() as session:
            session.execute(text(change), {"id": victim})
        assert verified().first_broken in (victim, victim + 1)


def test_an_entry_of_a_transaction_that_failed_is_not_there(app: Flask, now: datetime) -> None:
    with app.app_context():
        before = verified().checked
        with pytest.raises(ZeroDivisionError):
            record_and_fail(now)
        assert verified().checked == before
