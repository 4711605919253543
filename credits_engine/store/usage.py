"""What was consumed, added up by day."""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Executable, bindparam, case, func, select
from sqlalchemy.orm import Session

from control_plane.platform.database import run
from credits_engine.store.tables import JOURNAL, USERS

OPERATIONS = ("consume", "reserve")


class UsageRow(NamedTuple):
    """One UTC day, engine and plan: how operations were answered, and what they cost after what was given back."""

    day: str
    engine: str
    plan: str
    allowed: int
    denied: int
    errors: int
    analysis: int
    roast: int


def by_day(session: Session, *, since: datetime, until: datetime) -> list[UsageRow]:
    """The sums of `[since, until)`, oldest first. The plan is the one that the user has today."""
    rows = run(session, BY_DAY, {"since": since, "until": until})
    return [UsageRow(*row[:3], *map(int, row[3:])) for row in rows]


def _by_day(day: ColumnElement[str]) -> Executable:
    asked, outcome = JOURNAL.c.type.in_(OPERATIONS), JOURNAL.c.outcome

    def number(condition: ColumnElement[bool]) -> Any:
        return func.sum(case((asked & condition, 1), else_=0))

    plan = func.coalesce(USERS.c.plan, "")
    return (
        select(
            day.label("day"),
            JOURNAL.c.served_engine,
            plan.label("plan"),
            number(outcome == "allowed"),
            number(outcome.in_(("denied_limit", "denied_state"))),
            number(outcome == "error"),
            func.sum(JOURNAL.c.charged_analysis),
            func.sum(JOURNAL.c.charged_roast),
        )
        .select_from(JOURNAL)
        .outerjoin(USERS, USERS.c.user_id == JOURNAL.c.user_id)
        .where(JOURNAL.c.occurred_at >= bindparam("since", type_=JOURNAL.c.occurred_at.type))
        .where(JOURNAL.c.occurred_at < bindparam("until", type_=JOURNAL.c.occurred_at.type))
        .where(JOURNAL.c.served_engine.is_not(None))
        .group_by(day, JOURNAL.c.served_engine, plan)
        .order_by(day, JOURNAL.c.served_engine, plan)
    )


BY_DAY = {
    "sqlite": _by_day(func.substr(JOURNAL.c.occurred_at, 1, 10)),
    "postgresql": _by_day(func.to_char(JOURNAL.c.occurred_at, "YYYY-MM-DD")),
}
