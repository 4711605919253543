"""The SQL of a rehearsal: what the journal says about whom v2 served, and when."""

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from credits_engine.models import JournalEntry
from flags.models import DirectoryUser


def users(session: Session) -> int:
    """Count the users in the directory."""
    return session.scalar(select(func.count()).select_from(DirectoryUser)) or 0


def exposed_users(session: Session, since: datetime, until: datetime) -> int:
    """Count the distinct users v2 served from `since` until just before `until`."""
    query = select(func.count(JournalEntry.user_id.distinct())).where(
        JournalEntry.served_engine == "v2", JournalEntry.occurred_at >= since, JournalEntry.occurred_at < until
    )
    return session.scalar(query) or 0
