"""All SQL of the drills."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from alerts.models import GuardDrill
from control_plane.core.gates import LastRun


def add(
    session: Session, *, now: datetime, actor: str, passed: bool, milliseconds: int | None, report: dict[str, object]
) -> None:
    """Record a drill."""
    session.add(GuardDrill(at=now, actor=actor, passed=passed, milliseconds=milliseconds, report=report))
    session.flush()


def latest(session: Session, *, limit: int = 20) -> list[GuardDrill]:
    """Return the last drills, the newest first."""
    return list(session.scalars(select(GuardDrill).order_by(GuardDrill.id.desc()).limit(limit)))


def last_run(session: Session) -> LastRun | None:
    """Return when a drill was run last, and whether it passed; None before the first."""
    found = next(iter(latest(session, limit=1)), None)
    return LastRun(found.at, found.passed) if found else None
