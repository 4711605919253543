"""Locks on tables of PostgreSQL that are in use: nobody queues for long behind whoever waits for one."""

import random
import time
from collections.abc import Callable

from sqlalchemy import text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError

PATIENCE_MS = 500
"""Less than the second after which PostgreSQL looks for those who wait in a circle, and ends one of them."""
GIVE_UP_SECONDS = 300.0
PAUSE_SECONDS = (0.1, 0.4)


def lock_exclusively(connection: Connection, *tables: str) -> None:
    """Lock all of them until the transaction ends, or none while somebody works with one."""
    before = connection.scalar(text("SHOW lock_timeout"))

    def take() -> None:
        with connection.begin_nested():
            connection.execute(text(f"SET LOCAL lock_timeout = {PATIENCE_MS}"))
            connection.execute(text(f"LOCK TABLE {', '.join(tables)} IN ACCESS EXCLUSIVE MODE"))

    _retry(take)
    connection.execute(text("SELECT set_config('lock_timeout', :before, true)"), {"before": before})


def execute_patiently(connection: Connection, statement: str) -> None:
    """Execute, in a transaction of its own, what locks a table for a moment; `connection` commits by itself."""

    def execute() -> None:
        connection.execute(text(f"SET lock_timeout = {PATIENCE_MS}"))
        try:
            connection.exec_driver_sql(statement)
        finally:
            connection.execute(text("SET lock_timeout = 0"))

    _retry(execute)


def _retry(take: Callable[[], None]) -> None:
    """Try again until nobody works with the table. Whoever came behind goes on in between."""
    give_up = time.monotonic() + GIVE_UP_SECONDS
    while True:
        try:
            take()
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) != "55P03" or time.monotonic() > give_up:
                raise
            time.sleep(random.uniform(*PAUSE_SECONDS))  # noqa: S311 - no secret
        else:
            return
