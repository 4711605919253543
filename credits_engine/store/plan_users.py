"""How many users have a plan now, and how many of their billing periods run."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from credits_engine.store.tables import COUNTERS, USERS


@dataclass(frozen=True, slots=True)
class PlanUsers:
    """The users of a plan, their running periods of v2, and when the last of those ends."""

    users: int
    running: int
    last_end: datetime | None


def count(session: Session, names: Sequence[str], now: datetime) -> PlanUsers:
    """Count the users of a plan by its names, those of its seats among them."""
    has_plan = or_(USERS.c.plan.in_(names), *(USERS.c.plan.startswith(f"{name}:", autoescape=True) for name in names))
    is_running = and_(
        COUNTERS.c.user_id == USERS.c.user_id, COUNTERS.c.period_start <= now, COUNTERS.c.period_end > now
    )
    query = (
        select(func.count(USERS.c.user_id.distinct()), func.count(COUNTERS.c.user_id), func.max(COUNTERS.c.period_end))
        .select_from(USERS.outerjoin(COUNTERS, is_running))
        .where(has_plan)
    )
    users, running, last_end = session.execute(query).one()
    return PlanUsers(users, running, last_end)
