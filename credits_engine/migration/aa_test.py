"""The calibration run over the latest operations of the journal, a page at a time."""

from datetime import datetime

from sqlalchemy.orm import Session

from credits_engine.engines.aa_test import AATest
from credits_engine.engines.receipts import from_columns
from credits_engine.store import journal
from credits_engine.store.journal import OPERATIONS, Filters

PAGE = 1_000
OPERATIONS_DEFAULT = 10_000


def run_aa_test(session: Session, *, most: int = OPERATIONS_DEFAULT, since: datetime | None = None) -> AATest:
    """Judge the latest `most` operations again, each from its own row; none that is older than `since`."""
    found, before = AATest(), None
    while found.operations < most:
        limit = min(PAGE, most - found.operations)
        page = journal.entries(session, Filters(types=OPERATIONS, before_id=before), limit=limit)
        for row in page.rows:
            if since is not None and row["occurred_at"] < since:
                # Asked of the database, it would look for more of them through all of the journal.
                return found
            found.take(from_columns(row))
        before = page.next_before
        if before is None:
            break
    return found
