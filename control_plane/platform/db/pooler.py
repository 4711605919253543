"""Tell a direct connection to PostgreSQL from one through a pooler, which this program can't work through yet.

A pooler that shares server connections between transactions (PgBouncer's transaction mode and the like) breaks what
is kept per connection: prepared statements meet those of other processes, LISTEN hears nothing, and the limits on
locks and statements are dropped without a word.
"""

from flask import Flask
from psycopg import Connection

from control_plane.platform import start_checks
from control_plane.platform.db.database import LIMITS, db
from control_plane.platform.setting_values import SettingsError

TRIES = 10
REFUSED_OPTIONS = "unsupported startup parameter"
SENTENCE = (
    "A pooler stands between this program and PostgreSQL ({how}), and evidence of the guard would be lost through it. "
    "Point DATABASE_URL at PostgreSQL itself; a pooler in session mode works if it passes `options` on."
)


def require_direct_connection() -> None:
    """Raise SettingsError if the database is reached through a pooler that shares connections or drops the limits."""
    if db.engine.dialect.name != "postgresql":
        return
    with db.engine.connect() as first, db.engine.connect() as second:
        one, other = first.connection.driver_connection, second.connection.driver_connection
        assert isinstance(one, Connection)
        assert isinstance(other, Connection)
        for name, value in LIMITS.items():
            found = one.execute("SELECT setting FROM pg_settings WHERE name = %s", [name]).fetchone()
            if found is None or found[0] != value:
                raise SettingsError(SENTENCE.format(how=f"{name} is not in force"))
        one.rollback()
        if one.info.backend_pid != _server_process(one) and _are_shared(one, other):
            raise SettingsError(SENTENCE.format(how="connections are shared between transactions"))


def init_app(app: Flask) -> None:
    """Have a server refuse to start behind such a pooler."""
    start_checks.register(app, require_direct_connection)


def _are_shared(one: Connection, other: Connection) -> bool:
    """Return whether two open connections meet the same server process, or one of them more than one."""
    ours = [_server_process(one) for _ in range(TRIES)]
    theirs = [_server_process(other) for _ in range(TRIES)]
    return len({*ours}) > 1 or len({*theirs}) > 1 or ours[0] == theirs[0]


def _server_process(connection: Connection) -> int:
    """Ask in a transaction of its own, so that a pooler may give another server connection each time."""
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    connection.rollback()
    assert row is not None
    return int(row[0])
