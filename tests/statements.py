"""What is sent to the database, by SQLAlchemy or past it, and what waits in it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.engine import Connection

from control_plane.platform import alone, prepared
from control_plane.platform.database import db, reading
from control_plane.platform.wording import Worded

Sent = tuple[str, Any]
"""A statement and what is bound in it."""


@contextmanager
def noted() -> Iterator[list[Sent]]:
    """Every statement while the block lasts; the block stands inside an application context."""
    sent: list[Sent] = []
    executed, answered = prepared.executed, alone._answered

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_rest: object) -> None:
        sent.append((statement, parameters))

    def note_past_sqlalchemy(
        connection: Connection, words: Worded, values: Any, *, many: bool = False
    ) -> tuple[list[Any], int]:
        sent.append((words.sql, tuple(values) if words.in_order else values))
        return executed(connection, words, values, many=many)

    def note_alone(execute: Any, statement: str, asked: Any) -> Any:
        sent.append((statement, asked))
        return answered(execute, statement, asked)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepared, "executed", note_past_sqlalchemy)
        patch.setattr(alone, "_answered", note_alone)
        event.listen(db.engine, "before_cursor_execute", note)
        try:
            yield sent
        finally:
            event.remove(db.engine, "before_cursor_execute", note)


def wait_until_somebody_waits() -> None:
    """Until a transaction on this PostgreSQL waits for another one's lock."""
    query = text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    for _ in range(500):
        with reading() as session:
            if session.scalar(query):
                return
        time.sleep(0.01)
    raise AssertionError("Nobody waited for a lock.")
