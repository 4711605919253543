"""All SQL of what other programs measured."""

from datetime import datetime

from sqlalchemy.orm import Session

from alerts.models import SourceReading


def find(session: Session, alert: str) -> SourceReading | None:
    """Return the last result of the alert's query."""
    return session.get(SourceReading, alert)


def save(
    session: Session,
    alert: str,
    question: str,
    totals: tuple[float, float] | None,
    *,
    now: datetime,
    problem: str | None,
) -> None:
    """Keep an answer, or why there is none: then the totals stay, so that nothing counted meanwhile is lost."""
    found = session.get(SourceReading, alert)
    if found is None:
        found = SourceReading(alert=alert)
        session.add(found)
    if totals is not None or found.question != question:
        found.bad, found.total = totals or (None, None)
    found.question, found.read_at, found.problem = question, now, problem
    session.flush()
