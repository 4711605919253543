"""Verify the credits: one running period each, no overlaps, books equal to the journal, keys leading to rows."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from credits_engine.reconciliation.journal import Reconciliation, reconcile
from credits_engine.store import journal, migration, period_openings

PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Verification:
    """The problems found; empty when the credits are whole."""

    without_period: tuple[str, ...]
    overlapping: tuple[str, ...]
    books: Reconciliation
    orphaned_keys: tuple[tuple[str, str], ...] = ()
    """User and key, a thousand at most, where a retry would not find the row that answers it."""

    @property
    def intact(self) -> bool:
        return not self.without_period and not self.overlapping and self.books.clean and not self.orphaned_keys


def verify(session: Session, now: datetime) -> Verification:
    """Look at everybody."""
    missing: list[str] = []
    after: str | None = ""
    while after is not None:
        page = period_openings.without_period(session, after=after, now=now, page=PAGE)
        missing += page.users
        after = page.last or None
    overlapping, books = tuple(migration.overlapping(session)), reconcile(session)
    return Verification(tuple(missing), overlapping, books, journal.find_orphans(session, most=PAGE))
