"""What is sent to the database, by SQLAlchemy or past it, and what waits in it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.pool import QueuePool

from control_plane.platform.db import fastpath
from control_plane.platform.db.database import db, read_only

Sent = tuple[str, Any]
"""A statement and what is bound in it."""


@contextmanager
def noted() -> Iterator[list[Sent]]:
    """Yield every statement while the block lasts; the block stands inside an application context."""
    sent: list[Sent] = []
    executed = fastpath._execute

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_rest: object) -> None:
        sent.append((statement, parameters))

    def note_past_sqlalchemy(holder: Any, pooled: Any, statement: str, values: Any, run: Any) -> Any:
        sent.append((statement, values if isinstance(values, dict) else tuple(values)))
        return executed(holder, pooled, statement, values, run)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fastpath, "_execute", note_past_sqlalchemy)
        event.listen(db.engine, "before_cursor_execute", note)
        try:
            yield sent
        finally:
            event.remove(db.engine, "before_cursor_execute", note)


def wait_until_somebody_waits(number: int = 1) -> None:
    """Wait until so many transactions on this database of PostgreSQL wait for another one's lock."""
    query = text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    for _ in range(500):
        with read_only() as session:
            if session.execute(query).scalar_one() >= number:
                return
        time.sleep(0.01)
    raise AssertionError("Nobody waited for a lock.")


def connections_in_use(engine: Engine) -> int:
    """Return the number of connections that were taken out of the pool and not given back."""
    assert isinstance(engine.pool, QueuePool)
    return engine.pool.checkedout()
