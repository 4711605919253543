"""Usage by account: which accounts consume most of a kind, and what one of them consumed day by day.

Journal rows up to a checkpoint are added up once, like those of `usage.py`; what is behind the checkpoint is read from
the journal in the same statement, so no row is missed or counted twice. A span is whole UTC days.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Executable,
    FromClause,
    Index,
    Select,
    Table,
    Text,
    and_,
    bindparam,
    case,
    cast,
    func,
    literal,
    or_,
    select,
    union_all,
    update,
)
from sqlalchemy.orm import Session

from control_plane.platform.db.database import Base, DialectInsert, Statements, execute_core, per_dialect
from credits_engine.amount_types import amount_of, per_kinds
from credits_engine.engines.amounts import KINDS, Kind
from credits_engine.store import running_totals
from credits_engine.store.journal import OPERATIONS
from credits_engine.store.tables import JOURNAL
from credits_engine.store.usage import WRITTEN, Written

COUNTS = ("operations", "denied", "credits")
KEY = ("day", "kind", "user_id")
ACCOUNTS = Table(
    "credit_account_usage",
    Base.metadata,
    *(Column(name, Text, primary_key=True) for name in KEY),
    *(Column(name, BigInteger, nullable=False) for name in COUNTS),
    # With all that is added up: whoever wants the highest reads the index alone, already in groups.
    Index("ix_credit_account_usage_account", "kind", "user_id", "day", *COUNTS),
)
CHECKPOINT = Table(
    "credit_account_usage_mark",
    Base.metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    *(Column(name, BigInteger, nullable=False) for name in ("journal_id", "pending_id", "pending_until")),
)
LOCK_CHECKPOINT = select(CHECKPOINT).with_for_update()
MOVE_CHECKPOINT = update(CHECKPOINT).values(
    journal_id=bindparam("reached"), pending_id=bindparam("pending"), pending_until=bindparam("until")
)
SINCE, UNTIL = (bindparam(name, type_=JOURNAL.c.occurred_at.type) for name in ("since", "until"))


class AccountUsage(NamedTuple):
    """What an account consumed of a kind in a span, after what was given back."""

    user_id: str
    operations: int
    denied: int
    credits: int


class AccountDay(NamedTuple):
    """What an account consumed of a kind on a day."""

    day: str
    kind: str
    operations: int
    denied: int
    credits: int


class Days(NamedTuple):
    """Whole UTC days, the last one included."""

    first: date
    last: date

    @property
    def span(self) -> dict[str, object]:
        """Return the days, and the instants from the first to before the end of the last, as statements take them."""
        since, until = (datetime.combine(each, time(), UTC) for each in (self.first, self.last + timedelta(days=1)))
        return {"first": self.first.isoformat(), "last": self.last.isoformat(), "since": since, "until": until}


def roll_up(session: Session) -> int:
    """Add the next rows of the journal to their accounts, some thousand at most; returns up to which row they go."""
    row = execute_core(session, LOCK_CHECKPOINT).one()
    # Locked before, so two leaders in the moment of a change of leader add no row twice.
    moved = running_totals.advance_checkpoint(session, row)
    if moved["reached"] > row.journal_id:
        for statement in ROLL_UP():
            execute_core(session, statement, {"after": row.journal_id, "reached": moved["reached"]})
    execute_core(session, MOVE_CHECKPOINT, moved)
    return moved["reached"]


def top_accounts(
    session: Session, kind: Kind, days: Days, *, most: int, after: tuple[int, str] | None = None
) -> list[AccountUsage]:
    """Return the accounts that consumed most of a kind, in that order; `after` is the last one of the page before."""
    credits_before, user_before = after or (None, "")
    values = {**days.span, "kind": kind, "credits": credits_before, "user": user_before, "most": most}
    rows = execute_core(session, TOP()[kind][after is None], values)
    return [AccountUsage(row.user_id, *map(int, row[1:])) for row in rows]


def days_of_account(session: Session, user_id: str, days: Days) -> list[AccountDay]:
    """Return what an account consumed of each kind on each day, the oldest day first; days without any are left out."""
    rows = execute_core(session, OF_ACCOUNT(), {**days.span, "user_id": user_id})
    return [AccountDay(row.day, row.kind, *map(int, row[2:])) for row in rows]


def _added_up(journal: FromClause, kind: str, written: Written) -> Select[*tuple[object, ...]]:
    """Return rows of `journal` by day and account; the caller says which rows."""
    requested, charged = amount_of(journal.c.requested, kind), amount_of(journal.c.charged, kind)
    is_operation = and_(journal.c.type.in_(OPERATIONS), requested > 0)
    is_denied = journal.c.outcome.in_(("denied_limit", "denied_state"))
    day = written(journal.c.occurred_at, len("2027-03-14"))
    return (
        select(
            day.label("day"),
            literal(kind, Text).label("kind"),
            journal.c.user_id.label("user_id"),
            _number(is_operation & (journal.c.outcome == "allowed")).label("operations"),
            _number(is_operation & is_denied).label("denied"),
            cast(func.coalesce(func.sum(charged), 0), BigInteger).label("credits"),
        )
        .where(journal.c.served_engine.is_not(None), or_(is_operation, charged != 0))
        .group_by(day, journal.c.user_id)
    )


def _number(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return cast(func.coalesce(func.sum(case((condition, 1), else_=0)), 0), BigInteger)


def _roll_up(kind: str) -> Statements:
    def build(dialect: str) -> Callable[[DialectInsert], Executable]:
        def made(insert_into: DialectInsert) -> Executable:
            fresh = JOURNAL.c.id.between(bindparam("after") + 1, bindparam("reached"))
            rows = _added_up(JOURNAL, kind, WRITTEN[dialect]).where(fresh)
            statement = insert_into(ACCOUNTS).from_select([*KEY, *COUNTS], rows)
            sums = {name: ACCOUNTS.c[name] + statement.excluded[name] for name in COUNTS}
            return statement.on_conflict_do_update(index_elements=KEY, set_=sums)

        return made

    return {dialect: per_dialect(build(dialect))[dialect] for dialect in WRITTEN}


def _behind() -> FromClause:
    # Materialised, so that the rows are found by their number and not by the span, which is what is to be saved.
    checkpoint = select(CHECKPOINT.c.journal_id).scalar_subquery()
    return select(JOURNAL).where(JOURNAL.c.id > checkpoint).cte("behind").prefix_with("MATERIALIZED")


def _rows(
    kind: str, written: Written, behind: FromClause, *conditions: Callable[[FromClause], ColumnElement[bool]]
) -> Any:
    """Return both parts of a span: what is added up, and what is behind the checkpoint."""
    stored = ACCOUNTS
    sums = select(*(stored.c[name] for name in (*KEY, *COUNTS))).where(
        stored.c.kind == kind, stored.c.day.between(bindparam("first"), bindparam("last"))
    )
    fresh = _added_up(behind, kind, written).where(behind.c.occurred_at >= SINCE, behind.c.occurred_at < UNTIL)
    return sums.where(*(each(stored) for each in conditions)), fresh.where(*(each(behind) for each in conditions))


def _by_account(rows: FromClause) -> Any:
    sums = (cast(func.sum(rows.c[name]), BigInteger).label(name) for name in COUNTS)
    return select(rows.c.user_id, *sums).group_by(rows.c.user_id)


def _top(kind: str, *, is_first: bool) -> dict[str, Executable]:
    def build(written: Written) -> Executable:
        # Each part by account first: what both together hold is added up of few rows then.
        both = union_all(*(_by_account(part.subquery()) for part in _rows(kind, written, _behind()))).subquery()
        spent = cast(func.sum(both.c.credits), BigInteger)
        query = select(
            both.c.user_id,
            *(cast(func.sum(both.c[name]), BigInteger).label(name) for name in COUNTS),
        ).group_by(both.c.user_id)
        if not is_first:
            before, user = bindparam("credits", type_=BigInteger), bindparam("user", type_=Text)
            query = query.having(or_(spent < before, and_(spent == before, both.c.user_id > user)))
        return query.order_by(spent.desc(), both.c.user_id).limit(bindparam("most"))

    return {dialect: build(written) for dialect, written in WRITTEN.items()}


def _is_of_account(source: FromClause) -> ColumnElement[bool]:
    return source.c.user_id == bindparam("user_id")


def _of_account() -> dict[str, Executable]:
    def build(written: Written) -> Executable:
        behind = _behind()
        parts = [part for kind in KINDS for part in _rows(kind, written, behind, _is_of_account)]
        both = union_all(*parts).subquery()
        sums = (cast(func.sum(both.c[name]), BigInteger).label(name) for name in COUNTS)
        query = select(both.c.day, both.c.kind, *sums).group_by(both.c.day, both.c.kind)
        return query.order_by(both.c.day, both.c.kind)

    return {dialect: build(written) for dialect, written in WRITTEN.items()}


ROLL_UP: Callable[[], Sequence[Statements]] = per_kinds(lambda: [_roll_up(kind) for kind in KINDS])
TOP = per_kinds(
    lambda: {kind: {is_first: _top(kind, is_first=is_first) for is_first in (True, False)} for kind in KINDS}
)
OF_ACCOUNT = per_kinds(_of_account)
