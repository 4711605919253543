"""What was consumed, added up by day and by whatever else is asked for."""

from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Executable, bindparam, case, func, literal, select
from sqlalchemy.orm import Session

from control_plane.platform.database import run
from credits_engine.store.tables import JOURNAL, USERS

OPERATIONS = ("consume", "reserve")


class Segment(StrEnum):
    """By what usage is divided: UTC day, serving engine, plan of today, UTC month of the sign-up."""

    DAY = "day"
    ENGINE = "engine"
    PLAN = "plan"
    COHORT = "cohort"


class UsageRow(NamedTuple):
    """One segment: how operations were answered, how many paid for each kind, what they cost after what was given back.

    A segment that is not divided by is empty, and so is the cohort of whoever signed up nobody knows when.
    """

    day: str
    engine: str
    plan: str
    cohort: str
    allowed: int
    denied: int
    errors: int
    analysis_operations: int
    roast_operations: int
    analysis: int
    roast: int


def added_up(
    session: Session, by: frozenset[Segment] = frozenset(Segment), *, since: datetime, until: datetime
) -> list[UsageRow]:
    """The sums of `[since, until)`, oldest first; nothing outside of it is read."""
    segments = len(Segment)
    rows = run(session, _statements(by), {"since": since, "until": until})
    return [UsageRow(*row[:segments], *map(int, row[segments:])) for row in rows]


@cache
def _statements(by: frozenset[Segment]) -> dict[str, Executable]:
    return {
        "sqlite": _statement(by, lambda moment, length: func.substr(moment, 1, length)),
        "postgresql": _statement(by, lambda moment, length: func.to_char(moment, "YYYY-MM-DD"[:length])),
    }


def _statement(by: frozenset[Segment], written: Any) -> Executable:
    whole: dict[Segment, ColumnElement[Any]] = {
        Segment.DAY: written(JOURNAL.c.occurred_at, len("2027-03-14")),
        Segment.ENGINE: JOURNAL.c.served_engine,
        Segment.PLAN: func.coalesce(USERS.c.plan, ""),
        Segment.COHORT: func.coalesce(written(USERS.c.signed_up_at, len("2027-03")), ""),
    }
    asked = [whole[each].label(each.value) if each in by else literal("").label(each.value) for each in Segment]
    divided = [column for each, column in whole.items() if each in by]
    source = JOURNAL
    if by & {Segment.PLAN, Segment.COHORT}:
        source = JOURNAL.outerjoin(USERS, USERS.c.user_id == JOURNAL.c.user_id)  # type: ignore[assignment]
    return (
        select(*asked, *_sums())
        .select_from(source)
        .where(JOURNAL.c.occurred_at >= bindparam("since", type_=JOURNAL.c.occurred_at.type))
        .where(JOURNAL.c.occurred_at < bindparam("until", type_=JOURNAL.c.occurred_at.type))
        .where(JOURNAL.c.served_engine.is_not(None))
        .group_by(*divided)
        .order_by(*divided)
        .having(func.count() > 0)
    )


def _sums() -> list[ColumnElement[Any]]:
    asked, outcome = JOURNAL.c.type.in_(OPERATIONS), JOURNAL.c.outcome

    def number(condition: ColumnElement[bool]) -> ColumnElement[Any]:
        return func.sum(case((asked & condition, 1), else_=0))

    return [
        number(outcome == "allowed"),
        number(outcome.in_(("denied_limit", "denied_state"))),
        number(outcome == "error"),
        number((outcome == "allowed") & (JOURNAL.c.requested_analysis > 0)),
        number((outcome == "allowed") & (JOURNAL.c.requested_roast > 0)),
        func.sum(JOURNAL.c.charged_analysis),
        func.sum(JOURNAL.c.charged_roast),
    ]
