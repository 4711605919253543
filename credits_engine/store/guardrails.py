"""What the guard asks of the journal and the books: how much is at stake, and whether anything is wrong."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, bindparam, func, select
from sqlalchemy.orm import Session

from control_plane.blast_radius import Blast
from credits_engine.decisions import EngineName
from credits_engine.receipts import EntryType
from credits_engine.store.tables import JOURNAL, run

OPERATIONS = (EntryType.CONSUME.value, EntryType.RESERVE.value)


def _apart(kind: str) -> ColumnElement[Any]:
    """By how many credits the engines differ, 0 where one of them gave no answer."""
    return func.coalesce(func.abs(JOURNAL.c[f"v2_charged_{kind}"] - JOURNAL.c[f"legacy_charged_{kind}"]), 0)


SERVED_BY_V2 = (
    (JOURNAL.c.served_engine == EngineName.V2.value)
    & JOURNAL.c.type.in_(OPERATIONS)
    & (JOURNAL.c.occurred_at >= bindparam("since", type_=JOURNAL.c.occurred_at.type))
)
BLAST = select(
    func.count(JOURNAL.c.user_id.distinct()), func.count(), func.sum(_apart("analysis") + _apart("roast"))
).where(SERVED_BY_V2)
CHARGED_TWICE = (
    select(JOURNAL.c.user_id, JOURNAL.c.operation_key)
    .where(SERVED_BY_V2, (JOURNAL.c.charged_analysis > 0) | (JOURNAL.c.charged_roast > 0))
    .group_by(JOURNAL.c.user_id, JOURNAL.c.operation_key)
    .having(func.count() > 1)
)


def blast(session: Session, since: datetime) -> Blast:
    """What v2 served since `since`."""
    users, operations, apart = run(session, BLAST, {"since": since}).one()
    return Blast(users, operations, int(apart or 0))


def charged_twice(session: Session, since: datetime) -> list[tuple[str, str]]:
    """Every (user, key) that v2 charged more than once since `since`; there must be none."""
    return [(user_id, key) for user_id, key in run(session, CHARGED_TWICE, {"since": since})]
