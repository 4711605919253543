"""Find users whose limits differ from their plan."""

from datetime import datetime

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from credits_engine.billing.store.tables import ACCOUNTS
from credits_engine.store.tables import COUNTERS, USERS, execute_core

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


def differing_from_plan(session: Session, *, now: datetime, since: datetime) -> list[tuple[str, str, str]]:
    """Subscribers with their plan and the plan whose limits they have, where these differ; settled by `since`."""
    found = execute_core(session, UNLIKE, {"now": now, "since": since})
    return [(row.user_id, row.plan, row.limited_as) for row in found]
