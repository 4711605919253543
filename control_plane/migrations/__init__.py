"""Schema versions, applied at start. Alembic is configured here, in code.

It is loaded where there is something to upgrade: that takes a tenth of a command's time, and hardly ever there is.
"""

import re
from collections.abc import Set
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import inspect, text
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session

from control_plane.platform.db import deadlocks, direct
from control_plane.platform.db.database import READ_ONLY

if TYPE_CHECKING:
    from alembic.config import Config

FOLDER = Path(__file__).parent
VERSION = re.compile(r'^(revision|down_revision)\b.*= "(\w+)"$', re.MULTILINE)
LOCK = 7_210_002
ATTEMPTS = 10
"""A version locks tables in an order of its own, so it may meet operations in a circle again and again."""


class SchemaError(RuntimeError):
    """The database can't be used by this version of the code; the message says why and what to do."""


def upgrade(revision: str = "head") -> str | None:
    """Bring the schema up to `revision`; returns the version it was at.

    Raises SchemaError when the database is newer than the code.
    """
    with direct.connection() as connection:
        # Read first: whoever finds nothing to upgrade must not wait for whoever writes, an emergency stop least of all.
        if (before := _read(connection)) == (head() if revision == "head" else revision):
            return before
        if connection.dialect.name != "postgresql":
            with connection.begin():
                return upgrade_within(connection, revision)
        before = _prepare(connection, revision)
        after = _upgrade(connection, revision)
        return before or after


def _read(connection: Connection) -> str | None:
    """Return the version without a lock that somebody else could hold."""
    try:
        with connection.execution_options(**{READ_ONLY: True}).begin():
            return _current(connection)
    finally:
        connection.execution_options(**{READ_ONLY: False})


def _prepare(connection: Connection, revision: str) -> str | None:
    """Do what versions do before their transactions; an empty database has nothing to prepare. Returns its version."""
    target = head() if revision == "head" else revision

    def current() -> str:
        with connection.begin():
            return _current(connection) or "base"

    before = current()
    if before not in ("base", target):
        from control_plane.migrations import preparation  # noqa: PLC0415 - heavy, see above

        config = _config(connection)
        preparation.prepare(connection, config, revision, current=current, upgrade=partial(_upgrade, connection))
    return None if before == "base" else before


def _upgrade(connection: Connection, revision: str) -> str | None:
    """Upgrade in one transaction, again where PostgreSQL ended it so that operations could go on."""

    def once() -> str | None:
        with connection.begin():
            # Two processes that start together migrate once; the second one finds nothing left to do.
            # The timeouts of requests would end a migration that waits for the lock or rewrites a table.
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            connection.execute(text("SET LOCAL lock_timeout = 0"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            return upgrade_within(connection, revision)

    return deadlocks.retry(once, ATTEMPTS)


def upgrade_within(connection: Connection, revision: str = "head") -> str | None:
    """Upgrade in a transaction that the caller has begun and will commit."""
    before = _current(connection)
    if before != (head() if revision == "head" else revision):
        from alembic import command  # noqa: PLC0415 - heavy, see above

        command.upgrade(_config(connection), revision)
    return before


def downgrade(revision: str) -> None:
    """Take the schema back to `revision`; data of the versions above it is kept where their downgrade says so."""
    from alembic import command  # noqa: PLC0415 - heavy, see above

    with direct.connection() as connection, connection.begin():
        command.downgrade(_config(connection), revision)


def head() -> str | None:
    """Return the newest version this code knows."""
    (newest,) = _versions("revision") - _versions("down_revision")
    return newest


def current(session: Session) -> str | None:
    """Return the version of the database; None before the first."""
    found: str | None = session.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def _current(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    current: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    if current is not None and current not in _versions("revision"):
        raise SchemaError(
            f"The database is at version {current}, which this code does not know: it is newer than the code. "
            "Start the newer version of the program, or restore a backup made by this one."
        )
    return current


@cache
def _versions(name: str) -> Set[str]:
    """Return what the versions that this code knows give as `name`."""
    texts = (path.read_text(encoding="utf-8") for path in (FOLDER / "versions").glob("*.py"))
    return frozenset(version for each in texts for given, version in VERSION.findall(each) if given == name)


def _config(connection: Connection) -> "Config":
    from alembic.config import Config  # noqa: PLC0415 - heavy, see above

    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
