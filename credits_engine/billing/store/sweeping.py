"""Who has no running period, a page of the directory at a time, and whose limits stayed behind their plan."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, bindparam, select
from sqlalchemy.orm import Session

from credits_engine.billing.store.tables import ACCOUNTS
from credits_engine.store.tables import COUNTERS, USERS, run


@dataclass(frozen=True, slots=True)
class Page:
    """Users without a running period, and where to go on; empty at the end of the directory."""

    users: tuple[str, ...]
    last: str


IDS = select(USERS.c.user_id).where(USERS.c.user_id > bindparam("after")).order_by(USERS.c.user_id)
PAGE = IDS.limit(bindparam("page")).subquery()
RUNNING = and_(
    COUNTERS.c.user_id == PAGE.c.user_id,
    COUNTERS.c.period_start <= bindparam("now"),
    COUNTERS.c.period_end > bindparam("now"),
)
LOOK = (
    select(PAGE.c.user_id, COUNTERS.c.user_id.is_(None).label("missing"))
    .select_from(PAGE.outerjoin(COUNTERS, RUNNING))
    .order_by(PAGE.c.user_id)
)
UNLIKE = (
    select(USERS.c.user_id, USERS.c.plan, COUNTERS.c.plan.label("limited_as"))
    .join(ACCOUNTS, ACCOUNTS.c.user_id == USERS.c.user_id)
    .join(COUNTERS, COUNTERS.c.user_id == USERS.c.user_id)
    .where(
        ACCOUNTS.c.subscription_id.is_not(None),
        COUNTERS.c.period_start <= bindparam("now"),
        COUNTERS.c.period_end > bindparam("now"),
        COUNTERS.c.plan != USERS.c.plan,
        USERS.c.updated_at <= bindparam("since"),
        ACCOUNTS.c.updated_at <= bindparam("since"),
    )
    .order_by(USERS.c.user_id)
)


def without_period(session: Session, *, after: str, now: datetime, page: int, most: int) -> Page:
    """Of the next `page` users after this one, those without a running period; at most `most` of them."""
    rows = run(session, LOOK, {"after": after, "now": now, "page": page}).all()
    missing = [row.user_id for row in rows if row.missing]
    if len(missing) > most:
        return Page(tuple(missing[:most]), missing[most - 1])
    return Page(tuple(missing), rows[-1].user_id if len(rows) == page else "")


def unlike_plan(session: Session, *, now: datetime, since: datetime) -> list[tuple[str, str, str]]:
    """Subscribers with their plan and the plan whose limits they have, where these differ; settled by `since`."""
    found = run(session, UNLIKE, {"now": now, "since": since})
    return [(row.user_id, row.plan, row.limited_as) for row in found]
