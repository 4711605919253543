"""Schema versions, applied at start. Alembic is configured here, in code."""

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session

from control_plane.platform.db import direct

LOCK = 7_210_002


class SchemaError(RuntimeError):
    """The database can't be used by this version of the code; the message says why and what to do."""


def upgrade(revision: str = "head") -> str | None:
    """Bring the schema up to `revision`; returns the version it was at.

    Raises SchemaError when the database is newer than the code.
    """
    with direct.connection() as connection, connection.begin():
        if connection.dialect.name == "postgresql":
            # Two processes that start together migrate once; the second one finds nothing left to do.
            # The timeouts of requests would end a migration that waits for the lock or rewrites a table. SQLite has one
            # writer anyway.
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            connection.execute(text("SET LOCAL lock_timeout = 0"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        return upgrade_within(connection, revision)


def upgrade_within(connection: Connection, revision: str = "head") -> str | None:
    """Upgrade in a transaction that the caller has begun and will commit."""
    config = _config(connection)
    before = _current(connection)
    if before != (head() if revision == "head" else revision):
        command.upgrade(config, revision)
    return before


def downgrade(revision: str) -> None:
    """Take the schema back to `revision`; data of the versions above it is kept where their downgrade says so."""
    with direct.connection() as connection, connection.begin():
        command.downgrade(_config(connection), revision)


def head() -> str | None:
    """The newest version this code knows."""
    return _scripts().get_current_head()


def current(session: Session) -> str | None:
    """The version of the database; None before the first."""
    found: str | None = session.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def _current(connection: Connection) -> str | None:
    current = MigrationContext.configure(connection).get_current_revision()
    if current is not None and current not in {script.revision for script in _scripts().walk_revisions()}:
        raise SchemaError(
            f"The database is at version {current}, which this code does not know: it is newer than the code. "
            "Start the newer version of the program, or restore a backup made by this one."
        )
    return current


@cache
def _scripts() -> ScriptDirectory:
    """Every version that this code knows. Loading them takes longer than to find that the database is at the newest."""
    return ScriptDirectory.from_config(_config(None))


def _config(connection: Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
