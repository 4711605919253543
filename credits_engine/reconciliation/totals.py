"""Holding both books against the journal without reading all of it: sums of its older rows are kept beside it.

What a book was changed to is found at once, whichever row it is. What was changed in an old row of the journal itself,
which its triggers refuse, is found by the full comparison: once a day, on demand, and page by page all the time.
"""

from sqlalchemy.orm import Session

from control_plane.platform.db.database import transaction
from credits_engine.reconciliation.journal import LISTED_MAX, Reconciliation
from credits_engine.store import packs, running_totals
from credits_engine.store.reconciliation import BookTotal, user_totals


def advance() -> int:
    """Bring the sums up to what is settled in the journal; returns up to which row."""
    reached = -1
    while True:
        with transaction() as session:
            checkpoint = running_totals.advance(session)
        # On PostgreSQL the first call sets the checkpoint and the second one, where nobody holds it up, adds.
        if reached >= 0 and checkpoint - reached < running_totals.ROWS_AT_ONCE:
            return checkpoint
        reached = checkpoint


def rebuild() -> None:
    """Forget the sums and add everything up again, for whoever has seen that they are wrong."""
    with transaction() as session:
        running_totals.reset(session)
    advance()


def compare(session: Session) -> tuple[Reconciliation, bool]:
    """Return every row of both books against the sums and the newest rows, and whether the sums can be relied on.

    What seems to differ is added up from the journal itself, so a wrong sum accuses no book.
    """
    checked, suspected = running_totals.differing(session)
    listed = [each for each in suspected[:LISTED_MAX] if _differs(session, each)]
    bought, wrong = packs.differing(session)
    # Those beyond the list are not added up again one by one; they count as different until the list is shorter.
    found = len(listed) + max(len(suspected) - LISTED_MAX, 0)
    result = Reconciliation(checked + bought, found + len(wrong), tuple(listed), wrong)
    return result, found == len(suspected)


def _differs(session: Session, suspected: BookTotal) -> bool:
    """Return whether the journal itself differs, or only a sum that somebody changed."""
    return any(
        total.engine is suspected.engine
        and total.period_start == suspected.period_start
        and total.book != total.journal
        for total in user_totals(session, suspected.user_id)
    )
