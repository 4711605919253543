"""Usage by day, kept: journal rows up to a mark are added up once, so that a month of millions is a few hundred rows.

The mark is moved like the one of the books' sums (`running_totals.py`): only past rows that no lower number can join
any more. So each row is either in the sums or behind the mark, whenever it occurred.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Executable,
    Table,
    Text,
    bindparam,
    func,
    literal,
    select,
    true,
    update,
)
from sqlalchemy.orm import Session

from control_plane.platform.db.database import Base, Statements, execute_core, per_dialect
from credits_engine.amount_types import AmountsType, per_kinds, sum_of, summed
from credits_engine.engines.amounts import KINDS
from credits_engine.store import running_totals
from credits_engine.store.tables import JOURNAL
from credits_engine.store.usage_rows import ANSWERS, BY_KIND, COUNTS, WRITTEN, Segment, group_by

DAYS = Table(
    "credit_usage_day",
    Base.metadata,
    *(Column(each.value, Text, primary_key=True) for each in Segment),
    *(Column(name, BigInteger, nullable=False) for name in ANSWERS),
    *(Column(name, AmountsType, nullable=False) for name in BY_KIND),
)
MARK = Table(
    "credit_usage_mark",
    Base.metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    *(Column(name, BigInteger, nullable=False) for name in ("journal_id", "pending_id", "pending_until")),
)
KEY = [each.value for each in Segment]
LOCK_MARK = select(MARK).with_for_update()
MOVE_MARK = update(MARK).values(
    journal_id=bindparam("reached"), pending_id=bindparam("pending"), pending_until=bindparam("until")
)


def _roll_up(dialect: str) -> Any:
    def build(insert_into: Any) -> Any:
        fresh = JOURNAL.c.id.between(bindparam("after") + 1, bindparam("reached"))
        rows = group_by(frozenset(Segment), WRITTEN[dialect], JOURNAL).where(fresh)
        statement = insert_into(DAYS).from_select([*KEY, *COUNTS], rows)
        sums: dict[str, Any] = {name: DAYS.c[name] + statement.excluded[name] for name in ANSWERS}
        sums |= {name: sum_of(DAYS.c[name], statement.excluded[name]) for name in BY_KIND}
        return statement.on_conflict_do_update(index_elements=KEY, set_=sums)

    return build


FOLD: Callable[[], Statements] = per_kinds(
    lambda: {dialect: per_dialect(_roll_up(dialect))[dialect] for dialect in WRITTEN}
)


def roll_up(session: Session) -> int:
    """Add the next rows of the journal to their days, a few thousand at most; returns up to which row they go."""
    row = execute_core(session, LOCK_MARK).one()
    moved = running_totals.advance_checkpoint(session, row)
    if moved["reached"] > row.journal_id:
        execute_core(session, FOLD(), {"after": row.journal_id, "reached": moved["reached"]})
    execute_core(session, MOVE_MARK, moved)
    return moved["reached"]


def stored_days(session: Session, by: frozenset[Segment], *, first: str, last: str) -> tuple[int, list[Any]]:
    """The mark, and the sums of the days from `first` until before `last` by segments, seen at one instant."""
    rows = execute_core(session, _statement(by, len(KINDS)), {"first": first, "last": last}).all()
    return rows[0].mark, [row[1:] for row in rows if row.allowed is not None]


@cache
def _statement(by: frozenset[Segment], _kinds: int) -> Executable:
    asked = [DAYS.c[each.value] if each in by else literal("").label(each.value) for each in Segment]
    days = (
        select(
            *asked,
            *(func.sum(DAYS.c[name]).label(name) for name in ANSWERS),
            *(summed(DAYS.c[name]).label(name) for name in BY_KIND),
        )
        .where(DAYS.c.day >= bindparam("first"), DAYS.c.day < bindparam("last"))
        .group_by(*(DAYS.c[each.value] for each in Segment if each in by))
        .subquery()
    )
    return select(MARK.c.journal_id.label("mark"), *days.c).select_from(MARK.outerjoin(days, true()))
