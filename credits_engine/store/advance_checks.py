"""The last check of the step that a rollout would take next."""

from dataclasses import asdict

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from credits_engine.engines.advance_check import AdvanceCheck
from credits_engine.models import AdvanceCheckRun


def add(session: Session, flag: str, found: AdvanceCheck) -> None:
    """Remember what was found."""
    session.execute(insert(AdvanceCheckRun).values(flag=flag, **asdict(found)))


def latest(session: Session, flag: str, version: int) -> AdvanceCheck | None:
    """The last that was found for this version of the rollout; None before the first."""
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
