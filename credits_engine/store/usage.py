"""Usage, summed by day and by other dimensions.

Whole days come from kept sums and the few journal rows behind their mark; only the ends of a span that cut a day are
read from the journal itself.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import Executable, bindparam, select
from sqlalchemy.orm import Session

from control_plane.platform.db.database import execute_core
from credits_engine.engines.amounts import KINDS
from credits_engine.store import usage_days
from credits_engine.store.tables import JOURNAL
from credits_engine.store.usage_rows import ANSWERS, SEGMENTS, WRITTEN, Segment, UsageRow, group_by

__all__ = ["Segment", "UsageRow", "daily_usage"]

BY_KIND = SEGMENTS + len(ANSWERS)
DAY = timedelta(days=1)
SINCE, UNTIL = (bindparam(name, type_=JOURNAL.c.occurred_at.type) for name in ("since", "until"))


def daily_usage(
    session: Session, by: frozenset[Segment] = frozenset(Segment), *, since: datetime, until: datetime
) -> list[UsageRow]:
    """The sums of `[since, until)`, oldest first."""
    first, last = _midnight_from(since), _midnight_before(until)
    if first >= last:
        return _merge(_between(session, by, since, until))
    # Days and mark are seen at one instant, and no row behind that mark is ever taken away: none is missed or doubled.
    mark, days = usage_days.stored_days(session, by, first=f"{first:%Y-%m-%d}", last=f"{last:%Y-%m-%d}")
    fresh = execute_core(session, _behind_mark(by, len(KINDS)), {"since": first, "until": last, "mark": mark})
    ends = [*_between(session, by, since, first), *_between(session, by, last, until)]
    return _merge([*ends, *days, *fresh])


def _between(session: Session, by: frozenset[Segment], since: datetime, until: datetime) -> Iterable[Any]:
    return execute_core(session, _in_span(by, len(KINDS)), {"since": since, "until": until}) if since < until else ()


def _merge(rows: Iterable[Any]) -> list[UsageRow]:
    """Rows of the same segment as one."""
    sums: dict[tuple[str, ...], list[Any]] = {}
    for row in rows:
        # PostgreSQL adds bigints up to numeric, which arrives as Decimal.
        key, counts = tuple(row[:SEGMENTS]), [*map(int, row[SEGMENTS:BY_KIND]), *row[BY_KIND:]]
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
def _behind_mark(by: frozenset[Segment], _kinds: int) -> dict[str, Executable]:
    # Materialised, so that the rows are found by their number and not by the span, which is what is to be saved.
    behind = select(JOURNAL).where(JOURNAL.c.id > bindparam("mark")).cte("behind").prefix_with("MATERIALIZED")
    occurred_at = behind.c.occurred_at
    return {
        dialect: group_by(by, written, behind).where(occurred_at >= SINCE, occurred_at < UNTIL)
        for dialect, written in WRITTEN.items()
    }
