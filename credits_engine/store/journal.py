"""Journal rows, pages of them with the newest first, and the keys that lead to them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, bindparam, exists, func, insert, or_, select, text, union, update
from sqlalchemy.orm import Session

from control_plane.platform.db.database import execute_core, is_postgresql
from control_plane.platform.db.fastpath import CompiledStatement
from credits_engine.amount_types import amount_of
from credits_engine.engines.amounts import NOTHING
from credits_engine.engines.decisions import Outcome
from credits_engine.engines.receipts import Columns, EntryType
from credits_engine.store.tables import JOURNAL, KEYS, USERS, insert_if_absent, inserted

OPERATIONS = (EntryType.CONSUME.value, EntryType.RESERVE.value)
"""The types of the rows that an engine decided."""

COLUMNS = tuple(column.name for column in JOURNAL.columns if column.name != "id")
COUNTS = ("requested", "charged", "v2_posted", "legacy_posted")
BLANK: Columns = {**dict.fromkeys(COLUMNS), **dict.fromkeys(COUNTS, NOTHING)}
APPEND = CompiledStatement(insert(JOURNAL).returning(JOURNAL.c.id))
OF_NUMBER = select(JOURNAL).where(JOURNAL.c.id == bindparam("journal_id"))
FETCH = OF_NUMBER.where(JOURNAL.c.user_id == bindparam("user_id"))
REMEMBER = insert_if_absent(KEYS)
REDIRECT = CompiledStatement(
    update(KEYS)
    .where(KEYS.c.user_id == bindparam("of_user"), KEYS.c.key == bindparam("of_key"))
    .values(journal_id=bindparam("to"))
)


def append(session: Session, columns: Columns) -> int:
    """Write one journal row; columns not given stay empty, amounts not given are 0. Returns its id."""
    journal_id: int = APPEND.fetch_one(session, {**BLANK, **columns}).id
    return journal_id


def fetch(session: Session, user_id: str, journal_id: int) -> Columns:
    """Return one journal row of a user by column name."""
    return dict(execute_core(session, FETCH, {"user_id": user_id, "journal_id": journal_id}).mappings().one())


def find(session: Session, journal_id: int) -> Columns | None:
    """Return one journal row by column name, whoever it is about; None where there is none of that number."""
    row = execute_core(session, OF_NUMBER, {"journal_id": journal_id}).mappings().one_or_none()
    return None if row is None else dict(row)


def remember(session: Session, user_id: str, key: str, *, fingerprint: str, journal_id: int, now: datetime) -> bool:
    """Lead a new key to its journal row; False when another transaction took the key meanwhile."""
    row = {"user_id": user_id, "key": key, "fingerprint": fingerprint, "journal_id": journal_id, "created_at": now}
    return inserted(session, REMEMBER, row)


def redirect(session: Session, user_id: str, key: str, *, journal_id: int) -> None:
    """Lead a known key on to the row of its latest attempt."""
    REDIRECT.execute(session, {"of_user": user_id, "of_key": key, "to": journal_id})


DIFFERS = text("variance <> 'match'")  # as written in the partial index, which is used for nothing else


@dataclass(frozen=True, slots=True)
class Filters:
    """Which rows; what is None is not asked for. `since` is included, `until` is not."""

    user_id: str | None = None
    kind: str | None = None
    types: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    variance: str | None = None
    cause: str | None = None
    engine: str | None = None
    plan: str | None = None
    """The plan that the user has now; empty for whom the directory does not know."""
    before_id: int | None = None
    key_prefix: str | None = None
    """With what the key begins, which tells the members of an account apart."""


@dataclass(frozen=True, slots=True)
class Page:
    """Rows by column name, and whether there are older ones."""

    rows: tuple[Columns, ...]
    has_more: bool

    @property
    def next_before(self) -> int | None:
        """Return the place of the next page; None when there is none."""
        return self.rows[-1]["id"] if self.has_more else None


def entries(session: Session, filters: Filters, *, limit: int) -> Page:
    """Return rows of the journal that fit. One more than asked for is read, so an exactly full page tells the truth."""
    return _page(session, filtered(select(JOURNAL), filters), limit)


def variances(session: Session, filters: Filters, *, limit: int) -> Page:
    """Return rows on which the engines did not simply agree."""
    return _page(session, filtered(select(JOURNAL).where(DIFFERS), filters), limit)


def variance_groups(session: Session, filters: Filters) -> list[tuple[str, str, int]]:
    """Count those rows by class and cause, the most frequent first."""
    counted = func.count().label("rows")
    query = filtered(select(JOURNAL.c.variance, JOURNAL.c.cause, counted).where(DIFFERS), filters)
    query = query.group_by(JOURNAL.c.variance, JOURNAL.c.cause).order_by(counted.desc(), JOURNAL.c.cause)
    return [(variance, cause or "", rows) for variance, cause, rows in execute_core(session, query)]


def _page(session: Session, query: Select[Any], limit: int) -> Page:
    rows = [dict(row) for row in execute_core(session, query.order_by(JOURNAL.c.id.desc()).limit(limit + 1)).mappings()]
    return Page(tuple(rows[:limit]), len(rows) > limit)


def filtered(query: Select[Any], filters: Filters) -> Select[Any]:
    """Return `query` with the conditions of the filters."""
    column = JOURNAL.c
    equals = {
        column.user_id: filters.user_id,
        column.variance: filters.variance,
        column.cause: filters.cause,
        column.served_engine: filters.engine,
    }
    conditions = [each == value for each, value in equals.items() if value is not None]
    if filters.kind:
        requested, paid = (amount_of(each, filters.kind) for each in (column.requested, column.charged))
        conditions.append((requested != 0) | (paid != 0))
    if filters.plan is not None:
        plan = select(USERS.c.plan).where(USERS.c.user_id == column.user_id).scalar_subquery()
        conditions.append(func.coalesce(plan, "") == filters.plan)
    if filters.types:
        conditions.append(column.type.in_(filters.types))
    if filters.since:
        conditions.append(column.occurred_at >= filters.since)
    if filters.until:
        conditions.append(column.occurred_at < filters.until)
    if filters.key_prefix is not None:
        conditions.append(column.operation_key.startswith(filters.key_prefix, autoescape=True))
    if filters.before_id is not None:
        conditions.append(column.id < filters.before_id)
    return query.where(*conditions)


COMPARING_SECONDS = 600
MISDIRECTED = (
    select(KEYS.c.user_id, KEYS.c.key)
    .outerjoin(JOURNAL, and_(JOURNAL.c.user_id == KEYS.c.user_id, JOURNAL.c.id == KEYS.c.journal_id))
    .where(or_(JOURNAL.c.id.is_(None), JOURNAL.c.operation_key != KEYS.c.key))
)
LOST = select(JOURNAL.c.user_id, JOURNAL.c.operation_key).where(
    JOURNAL.c.operation_key.is_not(None),
    JOURNAL.c.type.in_(OPERATIONS),
    JOURNAL.c.outcome == Outcome.ALLOWED.value,
    ~exists().where(KEYS.c.user_id == JOURNAL.c.user_id, KEYS.c.key == JOURNAL.c.operation_key),
)
ORPHANS = union(MISDIRECTED, LOST).order_by("user_id", "key").limit(bindparam("most"))


def find_orphans(session: Session, *, most: int) -> tuple[tuple[str, str], ...]:
    """Return user and key wherever a key leads to no row of its own, or a granted operation has lost its key."""
    if is_postgresql(session):
        execute_core(session, text(f"SET LOCAL statement_timeout = '{COMPARING_SECONDS}s'"))
    return tuple((row.user_id, row.key) for row in execute_core(session, ORPHANS, {"most": most}))
