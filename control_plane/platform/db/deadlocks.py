"""Work that PostgreSQL undid so that others could go on is done again, where doing it twice is doing it once."""

from collections.abc import Callable
from typing import TypeVar

import psycopg
import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from control_plane.platform.db.database import transaction

T = TypeVar("T")

ATTEMPTS = 3
UNDONE = ("40P01", "40001")
"""A deadlock, in which this transaction was chosen to end, and one that can't be put in an order with others."""

log = structlog.get_logger()


def retry(work: Callable[[], T], attempts: int = ATTEMPTS) -> T:
    """Run `work`, which opens its transaction itself, again while PostgreSQL undoes it. Raises what the last one did.

    A migration locks tables in an order of its own, so operations that run meanwhile may meet it in a circle.
    """
    for _ in range(attempts - 1):
        try:
            return work()
        except DBAPIError as error:
            if not isinstance(error.orig, psycopg.Error) or error.orig.sqlstate not in UNDONE:
                raise
            log.info("database.done_again", code=error.orig.sqlstate)
    return work()


def in_transaction(work: Callable[[Session], T]) -> T:
    """Run `work` in a transaction of its own, again while PostgreSQL undoes it."""

    def once() -> T:
        with transaction() as session:
            return work(session)

    return retry(once)
