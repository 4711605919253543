"""Work through a pooler where one is declared, and refuse to start behind one that is not.

A pooler that shares server connections between transactions (PgBouncer's transaction mode and the like) breaks what
is kept per connection: prepared statements meet those of other processes, LISTEN hears nothing, and the limits on
locks and statements are dropped without a word. With `DATABASE_DIRECT_URL` nothing of ours is kept there.
"""

from secrets import token_hex

import psycopg
from flask import Flask
from psycopg import Connection
from sqlalchemy import text

from control_plane.platform import start_checks
from control_plane.platform.db import direct
from control_plane.platform.db.database import LIMITS, autocommit, db, read_only
from control_plane.platform.setting_values import SettingsError
from control_plane.platform.settings import current

TRIES = 10
HEAR_SECONDS = 5.0
REFUSED_OPTIONS = "unsupported startup parameter"
SENTENCE = (
    "A pooler stands between this program and PostgreSQL ({how}), and evidence of the guard would be lost through it. "
    "Set DATABASE_DIRECT_URL to the address of PostgreSQL itself and of no pooler, then one may stay in DATABASE_URL; "
    "a pooler in session mode works without it if it passes `options` on."
)
DEAF = (
    "DATABASE_DIRECT_URL does not lead to the database of DATABASE_URL ({how}). Set it to the address of PostgreSQL "
    "itself, behind the pooler, with the same database's name."
)
UNLIMITED = (
    "Through the pooler these limits are not in force: {names}. Give them to the role, then let the pooler connect "
    "anew (RECONNECT in PgBouncer's console): {statements}"
)


def require_usable_connections() -> None:
    """Raise SettingsError if what is needed of connections to PostgreSQL is not to be had through the settings."""
    if db.engine.dialect.name != "postgresql":
        return
    if current().has_pooler:
        _require_limits_of_role()
        _require_direct_address()
    else:
        _require_direct_connection()


def init_app(app: Flask) -> None:
    """Have a server refuse to start behind a pooler that is not declared."""
    start_checks.register(app, require_usable_connections)


def _require_limits_of_role() -> None:
    names = [name for name, value in LIMITS.items() if _through_pooler(name) != value]
    if names:
        role = _role()
        statements = " ".join(f"ALTER ROLE \"{role}\" SET {name} = '{LIMITS[name]}';" for name in names)
        raise SettingsError(UNLIMITED.format(names=", ".join(names), statements=statements))


def _role() -> str:
    """Name the role as PostgreSQL knows it: an address need not."""
    with read_only() as session:
        return str(session.scalars(text("SELECT current_user")).one())


def _through_pooler(name: str) -> str | None:
    with read_only() as session:
        found: str | None = session.scalar(text("SELECT setting FROM pg_settings WHERE name = :name"), {"name": name})
        return found


def _require_direct_address() -> None:
    """Say something through the pooler and hear it directly: then it is one database, and LISTEN works."""
    channel = f"rollout_start_{token_hex(8)}"
    try:
        with psycopg.connect(**direct.listen_arguments()) as listener:
            listener.execute(f"LISTEN {channel}")
            with autocommit() as session:
                session.execute(text("SELECT pg_notify(:channel, '')"), {"channel": channel})
            if not list(listener.notifies(timeout=HEAR_SECONDS, stop_after=1)):
                raise SettingsError(DEAF.format(how="what is notified there is not heard here"))
    except psycopg.Error as error:
        raise SettingsError(DEAF.format(how=str(error).strip().partition("\n")[0])) from error


def _require_direct_connection() -> None:
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
