"""What was last found out about the step that a rollout would take next."""

from dataclasses import asdict

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from credits_engine.engines.readiness import Readiness
from credits_engine.models import ReadinessRun


def add(session: Session, flag: str, found: Readiness) -> None:
    """Remember what was found."""
    session.execute(insert(ReadinessRun).values(flag=flag, **asdict(found)))


def latest(session: Session, flag: str, version: int) -> Readiness | None:
    """The last that was found for this version of the rollout; None before the first."""
    query = select(ReadinessRun).where(ReadinessRun.flag == flag).order_by(ReadinessRun.id.desc()).limit(1)
    row = session.scalars(query).first()
    if row is None or row.version != version:
        return None
    return Readiness(
        at=row.at,
        version=row.version,
        users=row.users,
        entering=row.entering,
        refused=row.refused,
        operations=row.operations,
        mismatches=row.mismatches,
        unlike=row.unlike,
    )
