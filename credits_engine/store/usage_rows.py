"""The dimensions and sums of usage: the rows of the answer, and the SELECT that makes them of journal rows."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, FromClause, Select, case, func, literal, select

from credits_engine.amount_types import amount_of, amounts_of, summed
from credits_engine.engines.amounts import KINDS, Amounts
from credits_engine.store.tables import USERS

OPERATIONS = ("consume", "reserve")
Written = Callable[[Any, int], ColumnElement[Any]]
"""Writes the first characters of an instant."""


class Segment(StrEnum):
    """By what usage is divided: UTC day, serving engine, plan, UTC month of the sign-up.

    The plan is the one that a user has when a row is added up, minutes after it was written.
    """

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
    operations: Amounts
    credits: Amounts


SEGMENTS = len(Segment)
ANSWERS = ("allowed", "denied", "errors")
BY_KIND = ("operations", "credits")
COUNTS = (*ANSWERS, *BY_KIND)
WRITTEN: dict[str, Written] = {
    "sqlite": lambda moment, length: func.substr(moment, 1, length),
    "postgresql": lambda moment, length: func.to_char(moment, "YYYY-MM-DD"[:length]),
}


def group_by(by: frozenset[Segment], written: Written, journal: FromClause) -> Select[Any]:
    """Rows of `journal` added up by segments, in the columns of UsageRow; the caller says which rows."""
    whole: dict[Segment, ColumnElement[Any]] = {
        Segment.DAY: written(journal.c.occurred_at, len("2027-03-14")),
        Segment.ENGINE: journal.c.served_engine,
        Segment.PLAN: func.coalesce(USERS.c.plan, ""),
        Segment.COHORT: func.coalesce(written(USERS.c.signed_up_at, len("2027-03")), ""),
    }
    asked = [whole[each].label(each.value) if each in by else literal("").label(each.value) for each in Segment]
    source: Any = journal
    if by & {Segment.PLAN, Segment.COHORT}:
        source = journal.outerjoin(USERS, USERS.c.user_id == journal.c.user_id)
    return (
        select(*asked, *_sums(journal))
        .select_from(source)
        .where(journal.c.served_engine.is_not(None))
        .group_by(*(column for each, column in whole.items() if each in by))
        .having(func.count() > 0)
    )


def _sums(journal: FromClause) -> list[ColumnElement[Any]]:
    asked, outcome = journal.c.type.in_(OPERATIONS), journal.c.outcome

    def number(condition: ColumnElement[bool]) -> ColumnElement[Any]:
        return func.sum(case((asked & condition, 1), else_=0))

    sums = [
        number(outcome == "allowed"),
        number(outcome.in_(("denied_limit", "denied_state"))),
        number(outcome == "error"),
        amounts_of(*(number((outcome == "allowed") & (amount_of(journal.c.requested, kind) > 0)) for kind in KINDS)),
        summed(journal.c.charged),
    ]
    return [column.label(name) for name, column in zip(COUNTS, sums, strict=True)]
