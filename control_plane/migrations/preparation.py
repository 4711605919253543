"""What a version does before its transaction, while everybody goes on: long tables get indexes, columns are filled.

A version's `prepare(connection)` is called with the versions before it committed, and each of its statements commits
by itself. It may be ended at any moment and is then called again. Where it was not called, as within a restore, its
version does the same in the transaction.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.engine import Connection

LOCK = 7_210_003
PAUSE_SECONDS = 0.2


def prepare(
    connection: Connection,
    config: Config,
    revision: str,
    *,
    current: Callable[[], str],
    upgrade: Callable[[str], object],
) -> None:
    """Prepare every version up to `revision` that asks for it; `upgrade` brings the schema to the one before."""
    with _one_at_a_time(connection):
        versions = list(ScriptDirectory.from_config(config).iterate_revisions(revision, current()))
        for version in reversed(versions):
            if prepare_version := getattr(version.module, "prepare", None):
                upgrade(str(version.down_revision))
                with _each_by_itself(connection):
                    prepare_version(connection)


@contextmanager
def _one_at_a_time(connection: Connection) -> Iterator[None]:
    """Let one process prepare. Who waits holds no snapshot, for which an index that is being made would wait."""
    with _each_by_itself(connection):
        while not connection.scalar(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": LOCK}):
            time.sleep(PAUSE_SECONDS)
    try:
        yield
    finally:
        with _each_by_itself(connection):
            connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": LOCK})


@contextmanager
def _each_by_itself(connection: Connection) -> Iterator[None]:
    """Let each statement commit, however long it takes."""
    connection.execution_options(isolation_level="AUTOCOMMIT")
    try:
        for timeout in ("lock_timeout", "statement_timeout"):
            connection.execute(text(f"SET {timeout} = 0"))
        yield
        for timeout in ("lock_timeout", "statement_timeout"):
            connection.execute(text(f"RESET {timeout}"))
        connection.commit()
    finally:
        connection.rollback()
        connection.execution_options(isolation_level=connection.default_isolation_level)
