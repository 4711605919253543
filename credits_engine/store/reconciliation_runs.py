"""When the books were last held against the journal."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from credits_engine.models import ReconciliationRun


@dataclass(frozen=True, slots=True)
class Run:
    """One comparison and what it found."""

    at: datetime
    cause: str
    checked: int
    found: int


def add(session: Session, run: Run) -> None:
    """Remember a comparison."""
    values = {"at": run.at, "cause": run.cause, "checked": run.checked, "found": run.found}
    session.execute(insert(ReconciliationRun).values(values))


def latest(session: Session, *causes: str) -> Run | None:
    """The last one, or the last one for one of these causes; None before the first."""
    query = select(ReconciliationRun).order_by(ReconciliationRun.id.desc()).limit(1)
    row = session.scalars(query.where(ReconciliationRun.cause.in_(causes)) if causes else query).first()
    return None if row is None else Run(row.at, row.cause, row.checked, row.found)
