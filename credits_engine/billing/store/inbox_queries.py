"""The inbox as people and metrics look at it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from credits_engine.billing.models import ATTEMPTS, EVENTS, FACTS, IS_OPEN, IS_STUCK
from credits_engine.billing.store.inbox import State
from credits_engine.store.tables import ResultRow

LISTED = tuple(column for column in EVENTS.c if column.name != "body")
RECENT = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Unfinished:
    """The unfinished events by state, and the age of the oldest one."""

    counts: dict[str, int]
    oldest_seconds: float


def unfinished(session: Session, now: datetime) -> Unfinished:
    """Count the unfinished events, by the small indexes over exactly those."""
    counts = dict.fromkeys((State.NEW.value, State.CLAIMED.value, State.PARKED.value, State.DEAD.value), 0)
    for part in (IS_OPEN, IS_STUCK):
        query = select(EVENTS.c.state, func.count().label("number")).where(part).group_by(EVENTS.c.state)
        counts |= {row.state: row.number for row in session.execute(query)}
    return Unfinished(counts, oldest_seconds(session, now))


def oldest_seconds(session: Session, now: datetime) -> float:
    """Return for how long the oldest event that is still to be applied has waited; 0 where none is."""
    oldest: datetime | None = session.scalar(select(func.min(EVENTS.c.received_at)).where(IS_OPEN))
    return (now - oldest).total_seconds() if oldest else 0.0


def applied(session: Session, *, since: datetime) -> int:
    """Count the events received since then that had their effect."""
    query = select(func.count()).where(EVENTS.c.state == State.APPLIED.value, EVENTS.c.received_at > since)
    return session.scalar(query) or 0


def recent(session: Session, now: datetime) -> list[tuple[str, str, int]]:
    """Return state, API version and number of the events received within a day."""
    query = (
        select(EVENTS.c.state, EVENTS.c.api_version, func.count())
        .where(EVENTS.c.received_at > now - RECENT)
        .group_by(EVENTS.c.state, EVENTS.c.api_version)
        .order_by(EVENTS.c.state, EVENTS.c.api_version)
    )
    return [(state, version, number) for state, version, number in session.execute(query)]


def page(
    session: Session, *, state: State | None = None, before_id: int | None = None, limit: int = 50
) -> list[ResultRow]:
    """Return events without their bodies, newest first, of one state or of all, older than `before_id`."""
    query = select(*LISTED).order_by(EVENTS.c.id.desc()).limit(limit)
    if state is not None:
        query = query.where(EVENTS.c.state == state.value)
    if state in (State.PARKED, State.DEAD):
        query = query.where(IS_STUCK)
    if before_id is not None:
        query = query.where(EVENTS.c.id < before_id)
    return list(session.execute(query))


def event(session: Session, event_id: str) -> ResultRow | None:
    """Return one event with its body."""
    return session.execute(select(EVENTS).where(EVENTS.c.event_id == event_id)).one_or_none()


def attempts(session: Session, event_id: str) -> list[ResultRow]:
    """List the failed attempts and the replays of an event."""
    return list(session.execute(select(ATTEMPTS).where(ATTEMPTS.c.event_id == event_id).order_by(ATTEMPTS.c.id)))


def stuck(session: Session, state: State) -> list[str]:
    """Return the ids of all parked or all dead events, oldest first."""
    query = select(EVENTS.c.event_id).where(IS_STUCK, EVENTS.c.state == state.value).order_by(EVENTS.c.id)
    return list(session.scalars(query))


def facts_of_event(session: Session, event_id: str) -> list[ResultRow]:
    """Return the facts that an event told first."""
    query = select(FACTS.c.identity, FACTS.c.kind, FACTS.c.document).where(FACTS.c.event_id == event_id)
    return list(session.execute(query.order_by(FACTS.c.identity)))


def of_customers(session: Session, customers: list[str], limit: int = 50) -> list[ResultRow]:
    """Return the newest events about these customers."""
    if not customers:
        return []
    about = or_(*(EVENTS.c.customer_id == customer for customer in customers))
    return list(session.execute(select(*LISTED).where(about).order_by(EVENTS.c.id.desc()).limit(limit)))
