"""Opening the period that runs, with a word to the guard where that resets somebody's credits."""

from datetime import datetime

from sqlalchemy.orm import Session

from credits_engine.billing import evidence
from credits_engine.engines.periods import Period
from credits_engine.operations import books
from credits_engine.store import books as book_rows
from credits_engine.store.accounts import Account


def open_running(session: Session, account: Account, now: datetime) -> Period:
    """The period of `account` that holds `now`, opened where nobody has yet. Raises UnknownPlanError."""
    ended_at, _ = book_rows.neighbours(session, account.user_id, now)
    both, _ = books.locked(session, account, key="", now=now)
    opened = both.v2.period
    # Without an earlier period there is nothing to reset; one that has not ended was opened by somebody else.
    if ended_at is not None and ended_at <= now:
        evidence.report_reset(session, account.user_id, due_at=ended_at, starts_at=opened.start, now=now)
    return opened
