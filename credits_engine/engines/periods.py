"""Periods: half-open UTC intervals computed from an anchor and the clock, never from the period before."""

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """`[start, end)` in UTC: an instant on a boundary belongs to the later period."""

    start: datetime
    end: datetime

    def __contains__(self, moment: datetime) -> bool:
        return self.start <= moment < self.end


@dataclass(frozen=True, slots=True)
class PeriodRow:
    """One row of v2's counters: its period, whose plan's limits it has, and whether anything counts in it."""

    period: Period
    plan: str
    is_used: bool = False


def calendar_month(now: datetime) -> Period:
    """Return the UTC calendar month that holds `now`, whatever time zone `now` is written in."""
    utc = _utc(now)
    return _month(utc.year, utc.month)


@lru_cache(maxsize=64)
def _month(year: int, month: int) -> Period:
    start = datetime(year, month, 1, tzinfo=UTC)
    return Period(start, months_after(start, 1))


def billing_period(anchor: datetime, now: datetime) -> Period:
    """Return the period `[anchor + n months, anchor + n+1 months)` that holds `now`; n may be negative.

    An anchor on the 29th to 31st falls on the last day of shorter months and returns to its day after them.
    """
    utc, anchor = _utc(now), _utc(anchor)
    n = (utc.year - anchor.year) * 12 + utc.month - anchor.month
    if months_after(anchor, n) > utc:
        n -= 1
    return Period(months_after(anchor, n), months_after(anchor, n + 1))


def period_at(anchor: datetime | None, now: datetime) -> Period:
    """Return the period that holds `now` by a user's billing anchor, or the calendar month of a user who has none."""
    return calendar_month(now) if anchor is None else billing_period(anchor, now)


def months_after(anchor: datetime, months: int) -> datetime:
    """Return `anchor` moved by whole calendar months in UTC, its day clipped to the length of the month it lands in."""
    anchor = _utc(anchor)
    years, month = divmod(anchor.month - 1 + months, 12)
    year = anchor.year + years
    return anchor.replace(year=year, month=month + 1, day=min(anchor.day, monthrange(year, month + 1)[1]))


def fitted(period: Period, *, not_before: datetime | None, not_after: datetime | None) -> Period:
    """Return `period` cut to the gap between its neighbours, so that a user's periods never overlap."""
    start = period.start if not_before is None else max(period.start, not_before)
    end = period.end if not_after is None else min(period.end, not_after)
    return Period(start, end)


def _utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no time zone; periods are computed from aware instants.")
    return moment.astimezone(UTC)
