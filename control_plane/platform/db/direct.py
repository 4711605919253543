"""Connections to PostgreSQL itself, past a pooler: for what is kept longer than a transaction, and for its programs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import URL, NullPool, create_engine, make_url
from sqlalchemy.dialects.postgresql.psycopg import dialect as psycopg_dialect
from sqlalchemy.engine import Connection

from control_plane.platform.db import timeouts
from control_plane.platform.db.database import LIMIT_OPTIONS, db
from control_plane.platform.settings import current

DRIVER = "postgresql+psycopg"


def libpq_arguments(url: URL) -> dict[str, Any]:
    """Return the URL in the words of libpq, which several hosts and ports go into as lists of their own."""
    dialect = psycopg_dialect()  # type: ignore[no-untyped-call]
    _, arguments = dialect.create_connect_args(url.set(drivername=DRIVER))  # type: ignore[no-untyped-call]
    return dict(arguments)


def listen_arguments() -> dict[str, Any]:
    """Return what psycopg connects with to hear notifications."""
    url = make_url(current().direct_url)
    return {**timeouts.libpq(url), **libpq_arguments(url), "autocommit": True}


@contextmanager
def connection() -> Iterator[Connection]:
    """Open a connection that stays with one server process until the block ends; the pool's own without a pooler."""
    settings = current()
    if not settings.has_pooler:
        with db.engine.connect() as found:
            yield found
        return
    url = make_url(settings.direct_url).set(drivername=DRIVER)
    options = {**timeouts.libpq(url), "options": LIMIT_OPTIONS}
    engine = create_engine(url, poolclass=NullPool, connect_args=options, hide_parameters=True)
    with engine.connect() as found:
        yield found
