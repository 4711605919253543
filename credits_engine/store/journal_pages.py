"""Pages of the journal, the newest row first, for whoever looks back."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select, text
from sqlalchemy.orm import Session

from control_plane.platform.db.database import execute_core
from credits_engine.amount_types import amount_of
from credits_engine.store.tables import JOURNAL

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
    before_id: int | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Rows by column name, and whether there are older ones."""

    rows: tuple[Mapping[str, Any], ...]
    has_more: bool

    @property
    def next_before(self) -> int | None:
        """Return the place of the next page; None when there is none."""
        return self.rows[-1]["id"] if self.has_more else None


def journal(session: Session, filters: Filters, *, limit: int) -> Page:
    """Rows of the journal that fit. One more than asked for is read, so an exactly full page tells the truth."""
    return _page(session, _filtered(select(JOURNAL), filters), limit)


def variances(session: Session, filters: Filters, *, limit: int) -> Page:
    """Rows on which the engines did not simply agree."""
    return _page(session, _filtered(select(JOURNAL).where(DIFFERS), filters), limit)


def variance_groups(session: Session, filters: Filters) -> list[tuple[str, str, int]]:
    """Count those rows by class and cause, the most frequent first."""
    counted = func.count().label("rows")
    query = _filtered(select(JOURNAL.c.variance, JOURNAL.c.cause, counted).where(DIFFERS), filters)
    query = query.group_by(JOURNAL.c.variance, JOURNAL.c.cause).order_by(counted.desc(), JOURNAL.c.cause)
    return [(variance, cause or "", rows) for variance, cause, rows in execute_core(session, query)]


def _page(session: Session, query: Select[Any], limit: int) -> Page:
    rows = [dict(row) for row in execute_core(session, query.order_by(JOURNAL.c.id.desc()).limit(limit + 1)).mappings()]
    return Page(tuple(rows[:limit]), len(rows) > limit)


def _filtered(query: Select[Any], filters: Filters) -> Select[Any]:
    column = JOURNAL.c
    equals = {
        column.user_id: filters.user_id,
        column.variance: filters.variance,
        column.cause: filters.cause,
        column.served_engine: filters.engine,
    }
    conditions = [each == value for each, value in equals.items() if value is not None]
    if filters.kind:
        asked, paid = (amount_of(each, filters.kind) for each in (column.requested, column.charged))
        conditions.append((asked != 0) | (paid != 0))
    if filters.types:
        conditions.append(column.type.in_(filters.types))
    if filters.since:
        conditions.append(column.occurred_at >= filters.since)
    if filters.until:
        conditions.append(column.occurred_at < filters.until)
    if filters.before_id is not None:
        conditions.append(column.id < filters.before_id)
    return query.where(*conditions)
