"""Whether the credits are whole: every user has one running period, none overlap, both books equal the journal."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from credits_engine.billing.store import sweeping
from credits_engine.reconciliation.journal import Reconciliation, reconcile
from credits_engine.store import migrating

PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found; everything empty when the credits are whole."""

    without_period: tuple[str, ...]
    overlapping: tuple[str, ...]
    books: Reconciliation

    @property
    def whole(self) -> bool:
        return not self.without_period and not self.overlapping and self.books.clean


def verify(session: Session, now: datetime) -> Verification:
    """Look at everybody."""
    missing: list[str] = []
    after: str | None = ""
    while after is not None:
        page = sweeping.without_period(session, after=after, now=now, page=PAGE, most=PAGE)
        missing += page.users
        after = page.last or None
    return Verification(tuple(missing), tuple(migrating.overlapping(session)), reconcile(session))
