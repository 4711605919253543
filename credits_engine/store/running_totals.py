"""Running totals of what the journal posted up to a checkpoint, so that comparing the books reads no old row again.

A checkpoint may only pass rows that can't be joined by a lower number any more. SQLite has one writer, so that is every
row. On PostgreSQL a transaction may commit a number that was drawn before: a checkpoint is pending until every
transaction that ran when it was set has ended. On several databases each numbers its own rows and knows its own
transactions, so there a checkpoint stays where it was, and every row behind it is read.
"""

from sqlalchemy import BigInteger, Column, Executable, Table, Text, bindparam, func, select, text, update
from sqlalchemy.orm import Session

from control_plane.platform.db.database import Base, UtcDateTime, execute_core, is_postgresql
from credits_engine.amount_types import AmountsType, array, element, per_kinds
from credits_engine.engines.amounts import KINDS
from credits_engine.engines.decisions import EngineName
from credits_engine.store import citus
from credits_engine.store.reconciliation import BOOKS, BookTotal
from credits_engine.store.tables import ResultRow

ROWS_AT_ONCE = 5_000
COMPARING_SECONDS = 600

TOTALS = Table(
    "credit_tally",
    Base.metadata,
    Column("engine", Text, primary_key=True),
    Column("user_id", Text, primary_key=True),
    Column("period_start", UtcDateTime, primary_key=True),
    Column("amounts", AmountsType, nullable=False),
)
CHECKPOINT = Table(
    "credit_tally_mark",
    Base.metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("journal_id", BigInteger, nullable=False),
    Column("pending_id", BigInteger, nullable=False),
    Column("pending_until", BigInteger, nullable=False),
)

LOCK_CHECKPOINT = select(CHECKPOINT).with_for_update()
MOVE_CHECKPOINT = update(CHECKPOINT).values(
    journal_id=bindparam("reached"), pending_id=bindparam("pending"), pending_until=bindparam("until")
)
NEWEST = text("SELECT coalesce(max(id), 0) FROM credit_journal")
OLDEST_RUNNING = text("SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint)")
NEXT_TRANSACTION = text("SELECT CAST(CAST(pg_snapshot_xmax(pg_current_snapshot()) AS text) AS bigint)")
# Materialised, so that SQLite takes the rows by number and doesn't walk the whole journal in the order of users.
ADD_TEMPLATE = """
INSERT INTO credit_tally (engine, user_id, period_start, amounts)
    WITH fresh AS MATERIALIZED (
        SELECT user_id, {engine}_period_start AS period_start, {engine}_posted AS posted
            FROM credit_journal WHERE id > :after AND id <= :reached AND {engine}_period_start IS NOT NULL)
    SELECT '{engine}', user_id, period_start, {sums} FROM fresh WHERE true
        GROUP BY user_id, period_start
    ON CONFLICT (engine, user_id, period_start) DO UPDATE SET amounts = {added}
"""
DIFFERING_TEMPLATE = """
WITH fresh AS MATERIALIZED (
    SELECT user_id, {engine}_period_start AS period_start, {engine}_posted AS posted
        FROM credit_journal
        WHERE id > (SELECT journal_id FROM credit_tally_mark) AND {engine}_period_start IS NOT NULL)
SELECT coalesce(b.user_id, t.user_id, j.user_id) AS user_id,
        coalesce(b.{start}, t.period_start, j.period_start) AS period_start,
        {book_figures} AS book, {journal_figures} AS journal
    FROM {book} b
    FULL JOIN (SELECT * FROM credit_tally WHERE engine = '{engine}') t
        ON t.user_id = b.user_id AND t.period_start = b.{start}
    FULL JOIN (
        SELECT user_id, period_start, {sums} AS amounts FROM fresh GROUP BY user_id, period_start) j
        ON j.user_id = coalesce(b.user_id, t.user_id) AND j.period_start = coalesce(b.{start}, t.period_start)
    WHERE {book_figures} <> {journal_figures}
"""
PARTS = {
    "sums": ("sum({})", ["posted"]),
    "added": ("{} + {}", ["credit_tally.amounts", "excluded.amounts"]),
    "book_figures": ("{}", ["b.used"]),
    "journal_figures": ("{} + {}", ["t.amounts", "j.amounts"]),
}


def _written(template: str, dialect: str, engine: EngineName, **names: str) -> str:
    """Write a statement for every kind."""
    parts = {
        name: array(
            dialect, (part.format(*(element(dialect, each, place) for each in of)) for place in range(len(KINDS)))
        )
        for name, (part, of) in PARTS.items()
    }
    return template.format(engine=engine, **parts, **names)


def _differing(dialect: str, engine: EngineName) -> Executable:
    book, start = BOOKS[engine]
    written = _written(DIFFERING_TEMPLATE, dialect, engine, book=book.name, start=start)
    return text(written).columns(period_start=UtcDateTime, book=AmountsType, journal=AmountsType)


DIALECTS = ("sqlite", "postgresql")
ADD = per_kinds(
    lambda: [{dialect: text(_written(ADD_TEMPLATE, dialect, engine)) for dialect in DIALECTS} for engine in EngineName]
)
DIFFERING = per_kinds(
    lambda: {engine: {dialect: _differing(dialect, engine) for dialect in DIALECTS} for engine in EngineName}
)
COUNT = {engine: select(func.count()).select_from(book) for engine, (book, _) in BOOKS.items()}


def advance(session: Session) -> int:
    """Add the next rows of the journal, at most ROWS_AT_ONCE, to the running totals; returns the last of them."""
    row = execute_core(session, LOCK_CHECKPOINT).one()
    moved = advance_checkpoint(session, row)
    if moved["reached"] > row.journal_id:
        for statement in ADD():
            execute_core(session, statement, {"after": row.journal_id, "reached": moved["reached"]})
    execute_core(session, MOVE_CHECKPOINT, moved)
    return moved["reached"]


def advance_checkpoint(session: Session, row: ResultRow) -> dict[str, int]:
    """Return the next position of a locked checkpoint, at most ROWS_AT_ONCE further."""
    reached, pending = row.journal_id, row.pending_id
    if citus.is_database_distributed(session):
        return {"reached": reached, "pending": pending, "until": row.pending_until}
    newest, until = execute_core(session, NEWEST).scalar_one(), 0
    # SQLite writes one transaction after the other, so rows appear in the order of their numbers and none comes late.
    if not is_postgresql(session):
        reached, pending = min(newest, reached + ROWS_AT_ONCE), newest
    else:
        # Every transaction that ran when the checkpoint was set has ended, so no lower number can appear below it any
        # more.
        if row.pending_until <= execute_core(session, OLDEST_RUNNING).scalar_one():
            reached = min(pending, reached + ROWS_AT_ONCE)
        until = row.pending_until
        # The next checkpoint is the newest row of now; it waits for all transactions that may have drawn a lower
        # number.
        if reached == pending:
            pending, until = newest, execute_core(session, NEXT_TRANSACTION).scalar_one()
    return {"reached": int(reached), "pending": pending, "until": until}


def differing(session: Session) -> tuple[int, list[BookTotal]]:
    """Count the book rows, and list those that differ from the running totals and the rows behind the checkpoint.

    Each engine is one statement, so books, running totals and journal are seen at one instant.
    """
    if is_postgresql(session):
        execute_core(session, text(f"SET LOCAL statement_timeout = '{COMPARING_SECONDS}s'"))
    found = [
        BookTotal(engine, row.user_id, row.period_start, row.book, row.journal)
        for engine, statement in DIFFERING().items()
        for row in execute_core(session, statement)
    ]
    return sum(execute_core(session, statement).scalar_one() for statement in COUNT.values()), found


def reset(session: Session) -> None:
    """Forget the running totals: the next calls of `advance` add everything up again."""
    execute_core(session, TOTALS.delete())
    execute_core(session, MOVE_CHECKPOINT, {"reached": 0, "pending": 0, "until": 0})
