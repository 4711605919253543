"""The journal as a stream: rows by number, up to where no lower number can come any more.

On PostgreSQL a transaction may commit a number that was drawn before a higher one. So the end of an export is the
newest row at its beginning, and it begins once every transaction that ran then has ended: each row is read exactly once
by whoever goes on after the last one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from control_plane.platform.db.database import is_postgresql, read_only
from credits_engine.engines.receipts import Columns
from credits_engine.store.running_totals import NEWEST, NEXT_TRANSACTION, OLDEST_RUNNING
from credits_engine.store.tables import JOURNAL

ROWS_AT_ONCE = 2_000


@dataclass(frozen=True, slots=True)
class Horizon:
    """The newest row at one moment, and the transaction before which all must have ended for it to be final."""

    newest: int
    until: int | None


def horizon(session: Session) -> Horizon:
    """Return how far the journal goes now."""
    newest = int(session.scalar(NEWEST) or 0)
    return Horizon(newest, int(session.scalar(NEXT_TRANSACTION) or 0) if is_postgresql(session) else None)


def is_final(session: Session, found: Horizon) -> bool:
    """Return whether no row below the horizon can come any more."""
    return found.until is None or int(session.scalar(OLDEST_RUNNING) or 0) >= found.until


def last_id(session: Session, after: int, found: Horizon, most: int) -> int:
    """Return the number of the last of at most so many rows; `after` where there is none."""
    rows = select(JOURNAL.c.id).where(JOURNAL.c.id > after, JOURNAL.c.id <= found.newest).order_by(JOURNAL.c.id)
    return int(session.scalar(select(func.max(rows.limit(most).subquery().c.id))) or after)


def rows(after: int, last: int) -> Iterator[Columns]:
    """Yield the rows after one up to another, each part of them in a transaction of its own."""
    while after < last:
        query = select(JOURNAL).where(JOURNAL.c.id > after, JOURNAL.c.id <= last).order_by(JOURNAL.c.id)
        with read_only() as session:
            part = [dict(row) for row in session.execute(query.limit(ROWS_AT_ONCE)).mappings()]
        yield from part
        after = part[-1]["id"] if part else last
