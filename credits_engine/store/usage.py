"""Usage, summed by day and by other dimensions.

Journal rows up to a checkpoint are added up once (`roll_up`), so that a month of millions is a few hundred rows. A span
then is its whole days from those sums, the few journal rows behind the checkpoint, and the ends of the span that cut a
day, which are read from the journal itself. The checkpoint is moved like the one of the books' sums
(`running_totals.py`): only past rows that no lower number can join any more. So each row is either in the sums or
behind the checkpoint, whenever it occurred.
"""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Executable,
    FromClause,
    Select,
    Table,
    Text,
    bindparam,
    case,
    func,
    literal,
    select,
    true,
    update,
)
from sqlalchemy.orm import Session

from control_plane.platform.db.database import Base, DialectInsert, Statements, execute_core, per_dialect
from credits_engine.amount_types import AmountsType, amount_of, amounts_of, per_kinds, sum_of, summed
from credits_engine.engines.amounts import KINDS, Amounts
from credits_engine.store import running_totals
from credits_engine.store.journal import OPERATIONS
from credits_engine.store.tables import JOURNAL, USERS, ResultRow

Written = Callable[[ColumnElement[datetime], int], ColumnElement[str]]
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


def group_by(by: frozenset[Segment], written: Written, journal: FromClause) -> Select[*tuple[object, ...]]:
    """Return rows of `journal` added up by segments, in the columns of UsageRow; the caller says which rows."""
    whole: dict[Segment, ColumnElement[str]] = {
        Segment.DAY: written(journal.c.occurred_at, len("2027-03-14")),
        Segment.ENGINE: journal.c.served_engine,
        Segment.PLAN: func.coalesce(USERS.c.plan, ""),
        Segment.COHORT: func.coalesce(written(USERS.c.signed_up_at, len("2027-03")), ""),
    }
    segment_columns = [
        whole[each].label(each.value) if each in by else literal("").label(each.value) for each in Segment
    ]
    source: FromClause = journal
    if by & {Segment.PLAN, Segment.COHORT}:
        source = journal.outerjoin(USERS, USERS.c.user_id == journal.c.user_id)
    return (
        select(*segment_columns, *_sums(journal))
        .select_from(source)
        .where(journal.c.served_engine.is_not(None))
        .group_by(*(column for each, column in whole.items() if each in by))
        .having(func.count() > 0)
    )


def _sums(journal: FromClause) -> list[ColumnElement[object]]:
    is_operation, outcome = journal.c.type.in_(OPERATIONS), journal.c.outcome

    def number(condition: ColumnElement[bool]) -> ColumnElement[int]:
        return func.sum(case((is_operation & condition, 1), else_=0))

    sums: list[ColumnElement[Any]] = [
        number(outcome == "allowed"),
        number(outcome.in_(("denied_limit", "denied_state"))),
        number(outcome == "error"),
        amounts_of(*(number((outcome == "allowed") & (amount_of(journal.c.requested, kind) > 0)) for kind in KINDS)),
        summed(journal.c.charged),
    ]
    return [column.label(name) for name, column in zip(COUNTS, sums, strict=True)]


DAYS = Table(
    "credit_usage_day",
    Base.metadata,
    *(Column(each.value, Text, primary_key=True) for each in Segment),
    *(Column(name, BigInteger, nullable=False) for name in ANSWERS),
    *(Column(name, AmountsType, nullable=False) for name in BY_KIND),
)
CHECKPOINT = Table(
    "credit_usage_mark",
    Base.metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    *(Column(name, BigInteger, nullable=False) for name in ("journal_id", "pending_id", "pending_until")),
)
KEY = [each.value for each in Segment]
LOCK_CHECKPOINT = select(CHECKPOINT).with_for_update()
MOVE_CHECKPOINT = update(CHECKPOINT).values(
    journal_id=bindparam("reached"), pending_id=bindparam("pending"), pending_until=bindparam("until")
)


def _roll_up(dialect: str) -> Callable[[DialectInsert], Executable]:
    def build(insert_into: DialectInsert) -> Executable:
        fresh = JOURNAL.c.id.between(bindparam("after") + 1, bindparam("reached"))
        rows = group_by(frozenset(Segment), WRITTEN[dialect], JOURNAL).where(fresh)
        statement = insert_into(DAYS).from_select([*KEY, *COUNTS], rows)
        sums: dict[str, object] = {name: DAYS.c[name] + statement.excluded[name] for name in ANSWERS}
        sums |= {name: sum_of(DAYS.c[name], statement.excluded[name]) for name in BY_KIND}
        return statement.on_conflict_do_update(index_elements=KEY, set_=sums)

    return build


ROLL_UP: Callable[[], Statements] = per_kinds(
    lambda: {dialect: per_dialect(_roll_up(dialect))[dialect] for dialect in WRITTEN}
)


def roll_up(session: Session) -> int:
    """Add the next rows of the journal to their days, a few thousand at most; returns up to which row they go."""
    row = execute_core(session, LOCK_CHECKPOINT).one()
    # Locked before, so two leaders in the moment of a change of leader add no row twice.
    moved = running_totals.advance_checkpoint(session, row)
    if moved["reached"] > row.journal_id:
        execute_core(session, ROLL_UP(), {"after": row.journal_id, "reached": moved["reached"]})
    execute_core(session, MOVE_CHECKPOINT, moved)
    return moved["reached"]


def stored_days(session: Session, by: frozenset[Segment], *, first: str, last: str) -> tuple[int, list[ResultRow]]:
    """Return the checkpoint, and the sums by segments of the days from `first` until before `last`, at one instant."""
    rows = execute_core(session, _stored_days(by, len(KINDS)), {"first": first, "last": last}).all()
    return rows[0].checkpoint, [row[1:] for row in rows if row.allowed is not None]


@cache
def _stored_days(by: frozenset[Segment], _kinds: int) -> Executable:
    segment_columns = [DAYS.c[each.value] if each in by else literal("").label(each.value) for each in Segment]
    days = (
        select(
            *segment_columns,
            *(func.sum(DAYS.c[name]).label(name) for name in ANSWERS),
            *(summed(DAYS.c[name]).label(name) for name in BY_KIND),
        )
        .where(DAYS.c.day >= bindparam("first"), DAYS.c.day < bindparam("last"))
        .group_by(*(DAYS.c[each.value] for each in Segment if each in by))
        .subquery()
    )
    return select(CHECKPOINT.c.journal_id.label("checkpoint"), *days.c).select_from(CHECKPOINT.outerjoin(days, true()))


KINDS_BEGIN = SEGMENTS + len(ANSWERS)
DAY = timedelta(days=1)
SINCE, UNTIL = (bindparam(name, type_=JOURNAL.c.occurred_at.type) for name in ("since", "until"))


def daily_usage(
    session: Session, by: frozenset[Segment] = frozenset(Segment), *, since: datetime, until: datetime
) -> list[UsageRow]:
    """Return the sums of `[since, until)`, oldest first."""
    first, last = _midnight_from(since), _midnight_before(until)
    if first >= last:
        return _merge(_between(session, by, since, until))
    # Days and checkpoint are seen at one instant, and no row behind that checkpoint is ever taken away: none is missed
    # or doubled.
    checkpoint, days = stored_days(session, by, first=f"{first:%Y-%m-%d}", last=f"{last:%Y-%m-%d}")
    fresh = execute_core(
        session, _behind_checkpoint(by, len(KINDS)), {"since": first, "until": last, "checkpoint": checkpoint}
    )
    ends = [*_between(session, by, since, first), *_between(session, by, last, until)]
    return _merge([*ends, *days, *fresh])


def _between(session: Session, by: frozenset[Segment], since: datetime, until: datetime) -> Iterable[ResultRow]:
    return execute_core(session, _in_span(by, len(KINDS)), {"since": since, "until": until}) if since < until else ()


def _merge(rows: Iterable[ResultRow]) -> list[UsageRow]:
    """Make rows of the same segment one."""
    sums: dict[tuple[str, ...], list[object]] = {}
    for row in rows:
        # PostgreSQL adds bigints up to numeric, which arrives as Decimal.
        key, counts = tuple(row[:SEGMENTS]), [*map(int, row[SEGMENTS:KINDS_BEGIN]), *row[KINDS_BEGIN:]]
        sums[key] = [a + b for a, b in zip(sums[key], counts, strict=True)] if key in sums else counts
    return [UsageRow._make((*key, *counts)) for key, counts in sorted(sums.items())]


def _midnight_before(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _midnight_from(moment: datetime) -> datetime:
    midnight = _midnight_before(moment)
    return midnight if midnight == moment else midnight + DAY


@cache
def _in_span(by: frozenset[Segment], _kinds: int) -> dict[str, Executable]:
    occurred_at = JOURNAL.c.occurred_at
    return {
        dialect: group_by(by, written, JOURNAL).where(occurred_at >= SINCE, occurred_at < UNTIL)
        for dialect, written in WRITTEN.items()
    }


@cache
def _behind_checkpoint(by: frozenset[Segment], _kinds: int) -> dict[str, Executable]:
    # Materialised, so that the rows are found by their number and not by the span, which is what is to be saved.
    behind = select(JOURNAL).where(JOURNAL.c.id > bindparam("checkpoint")).cte("behind").prefix_with("MATERIALIZED")
    occurred_at = behind.c.occurred_at
    return {
        dialect: group_by(by, written, behind).where(occurred_at >= SINCE, occurred_at < UNTIL)
        for dialect, written in WRITTEN.items()
    }
