"""All SQL of the drills."""

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from alerts.models import GuardDrill


def add(
    session: Session, *, now: datetime, actor: str, passed: bool, milliseconds: int | None, report: dict[str, Any]
) -> None:
    """Record a drill."""
    session.add(GuardDrill(at=now, actor=actor, passed=passed, milliseconds=milliseconds, report=report))
    session.flush()


def latest(session: Session, *, limit: int = 20) -> list[GuardDrill]:
    """The last drills, the newest first."""
    return list(session.scalars(select(GuardDrill).order_by(GuardDrill.id.desc()).limit(limit)))
