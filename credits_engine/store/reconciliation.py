"""Both books beside what the journal says they must be, a page of users at a time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, Table, bindparam, func, literal, select, union, union_all
from sqlalchemy.orm import Session

from control_plane.platform.db.database import execute_core
from credits_engine.amount_types import AmountsType, distance_of, per_kinds, summed
from credits_engine.engines.amounts import NOTHING, Amounts
from credits_engine.engines.decisions import EngineName
from credits_engine.store.tables import COUNTERS, JOURNAL, LEGACY, ResultRow

PAGE_USERS = 500

Within = Callable[[ColumnElement[str]], ColumnElement[bool]]
"""Which users."""


@dataclass(frozen=True, slots=True)
class BookTotal:
    """One row of a book, and the sum of everything that the journal posted to it."""

    engine: EngineName
    user_id: str
    period_start: datetime
    book: Amounts
    journal: Amounts


def differences(session: Session) -> Iterator[tuple[int, list[BookTotal]]]:
    """Yield the number of rows compared and those that differ, a page of users at a time.

    Each page is one consistent view of books and journal.
    """
    after: str | None = ""
    while after is not None:
        after, checked, differing = page_differences(session, after)
        yield checked, differing


def page_differences(session: Session, after: str) -> tuple[str | None, int, list[BookTotal]]:
    """Return last user, rows and differing rows of the page of users after `after`; no user behind the last page.

    What agrees is counted where it lies and never sent.
    """
    last = execute_core(session, LAST_OF_PAGE, {"after": after, "users": PAGE_USERS}).scalar()
    if last is None:
        return None, 0, []
    checked, differing = 0, []
    for engine, statement in DIFFERENCES().items():
        rows = execute_core(session, statement, {"after": after, "last": last}).all()
        checked += rows[0].checked
        differing += [_total(engine, row) for row in rows if row.user_id is not None]
    return last, checked, differing


def user_totals(session: Session, user_id: str) -> list[BookTotal]:
    """Return the rows of one user."""
    return [
        _total(engine, row)
        for engine, statement in OF_USER().items()
        for row in execute_core(session, statement, {"user": user_id})
    ]


def _total(engine: EngineName, row: ResultRow) -> BookTotal:
    return BookTotal(engine, row.user_id, row.period_start, row.book, row.journal)


def _page(user_id: ColumnElement[str]) -> ColumnElement[bool]:
    return (user_id > bindparam("after")) & (user_id <= bindparam("last"))


def _one(user_id: ColumnElement[str]) -> ColumnElement[bool]:
    return user_id == bindparam("user")


def _totals(book: Table, start: str, engine: EngineName, within: Within = _page) -> Select[*tuple[object, ...]]:
    """Return one statement, because on PostgreSQL two of them would not see the same instant."""
    none = literal(NOTHING, AmountsType())
    counted = select(
        book.c.user_id, book.c[start].label("period_start"), book.c.used.label("book"), none.label("journal")
    ).where(within(book.c.user_id))
    begun = JOURNAL.c[f"{engine.value}_period_start"]
    posted = select(
        JOURNAL.c.user_id, begun, none.label("book"), JOURNAL.c[f"{engine.value}_posted"].label("journal")
    ).where(within(JOURNAL.c.user_id), begun.is_not(None))
    entries = union_all(counted, posted).subquery()
    sums = [summed(entries.c[side]).label(side) for side in ("book", "journal")]
    return select(entries.c.user_id, entries.c.period_start, *sums).group_by(entries.c.user_id, entries.c.period_start)


def _differences(book: Table, start: str, engine: EngineName) -> Select[*tuple[object, ...]]:
    """Return the number of rows in each row of the answer, beside it one that differs, or nothing where none does."""
    totals = _totals(book, start, engine).cte("totals").prefix_with("MATERIALIZED")
    number = select(func.count().label("checked")).select_from(totals).subquery()
    apart = distance_of(totals.c.book, totals.c.journal) != 0
    return select(number.c.checked, *totals.c).select_from(number).outerjoin(totals, apart)


def _last_of_page() -> Select[str]:
    firsts = [
        select(
            select(table.c.user_id)
            .distinct()
            .where(table.c.user_id > bindparam("after"))
            .order_by(table.c.user_id)
            .limit(bindparam("users"))
            .subquery()
        )
        for table in (COUNTERS, LEGACY, JOURNAL)
    ]
    known = union(*firsts).subquery()
    page = select(known.c.user_id).order_by(known.c.user_id).limit(bindparam("users")).subquery()
    return select(func.max(page.c.user_id))


LAST_OF_PAGE = _last_of_page()
BOOKS = {EngineName.V2: (COUNTERS, "period_start"), EngineName.LEGACY: (LEGACY, "month_start")}
DIFFERENCES = per_kinds(lambda: {engine: _differences(*book, engine) for engine, book in BOOKS.items()})
OF_USER = per_kinds(lambda: {engine: _totals(*book, engine, _one) for engine, book in BOOKS.items()})
