"""Opening the periods that run, with a word to the guard where that resets somebody's credits."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from credits_engine.billing import evidence
from credits_engine.operations import opening
from credits_engine.operations.opening import Opened


def open_running(session: Session, user_ids: Sequence[str], now: datetime) -> Opened:
    """`open_missing`, and once it is committed the guard knows whose credits were reset and whether in time."""
    done = opening.open_missing(session, user_ids, now)
    evidence.report_resets(session, done.openings, now=now)
    return done
