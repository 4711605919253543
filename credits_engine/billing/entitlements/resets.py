"""Opening the periods that run, with a word to the guard where that resets somebody's credits."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from credits_engine.billing import metrics
from credits_engine.operations import period_rollover
from credits_engine.operations.period_rollover import OpenedPeriods


def open_running(session: Session, user_ids: Sequence[str], now: datetime) -> OpenedPeriods:
    """`open_missing_periods`, and once it is committed the guard knows whose credits were reset and whether in time."""
    done = period_rollover.open_missing_periods(session, user_ids, now)
    metrics.report_resets(session, done.openings, now=now)
    return done
