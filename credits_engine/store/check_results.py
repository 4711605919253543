"""The last results of what the leader checks: the step that a rollout would take next, and the books."""

from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from credits_engine.engines.advance_check import AdvanceCheck
from credits_engine.models import AdvanceCheckRun, ReconciliationRun


def add_advance_check(session: Session, flag: str, found: AdvanceCheck) -> None:
    """Remember what was found."""
    session.execute(insert(AdvanceCheckRun).values(flag=flag, **asdict(found)))


def latest_advance_check(session: Session, flag: str, version: int) -> AdvanceCheck | None:
    """Return the last that was found for this version of the rollout; None before the first."""
    query = select(AdvanceCheckRun).where(AdvanceCheckRun.flag == flag).order_by(AdvanceCheckRun.id.desc()).limit(1)
    row = session.scalars(query).first()
    if row is None or row.version != version:
        return None
    return AdvanceCheck(
        at=row.at,
        version=row.version,
        users=row.users,
        entering=row.entering,
        refused=row.refused,
        operations=row.operations,
        mismatches=row.mismatches,
        unlike=row.unlike,
    )


@dataclass(frozen=True, slots=True)
class Run:
    """One comparison and what it found."""

    at: datetime
    cause: str
    checked: int
    found: int


def add_run(session: Session, run: Run) -> None:
    """Remember a comparison."""
    values = {"at": run.at, "cause": run.cause, "checked": run.checked, "found": run.found}
    session.execute(insert(ReconciliationRun).values(values))


def latest_run(session: Session, *causes: str) -> Run | None:
    """Return the last one, or the last one for one of these causes; None before the first."""
    query = select(ReconciliationRun).order_by(ReconciliationRun.id.desc()).limit(1)
    row = session.scalars(query.where(ReconciliationRun.cause.in_(causes)) if causes else query).first()
    return None if row is None else Run(row.at, row.cause, row.checked, row.found)
