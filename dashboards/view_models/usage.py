"""The screen of usage: credits by day and by a dimension, and the days that stand out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from credits_engine.administration import analytics
from credits_engine.administration.analytics import Change
from credits_engine.engines.amounts import KINDS, Kind
from credits_engine.store import usage
from credits_engine.store.usage import Segment, UsageRow

SPANS = {"7": "7 days", "30": "30 days", "90": "90 days"}
DIVISIONS = {Segment.ENGINE: "engine", Segment.PLAN: "plan", Segment.COHORT: "month of sign-up"}


@dataclass(frozen=True, slots=True)
class DayBar:
    """One day's credits of a kind, and how high its bar is, 0 to 1 of the highest."""

    day: str
    credits: int
    height: float


@dataclass(frozen=True, slots=True)
class KindUsage:
    """One kind, day by day."""

    kind: Kind
    bars: Sequence[DayBar]

    @property
    def total(self) -> int:
        """Return what was charged in all."""
        return sum(bar.credits for bar in self.bars)

    @property
    def description(self) -> str:
        """Describe the bars for readers who don't see them."""
        highest = max(self.bars, key=lambda bar: bar.credits)
        return f"{self.kind} credits by day, {self.total:,} in all; most on {highest.day}: {highest.credits:,}."


@dataclass(frozen=True, slots=True)
class UsageScreen:
    """Usage over some days, summed by one dimension."""

    now: datetime
    days: int
    by: Segment
    kinds: Sequence[KindUsage]
    rows: Sequence[UsageRow]
    changes: Sequence[Change]

    def name_of(self, row: UsageRow) -> str:
        """Name the part of the usage that `row` is about."""
        return str(getattr(row, self.by.value)) or "unknown"


def read(session: Session, *, days: int, by: Segment, now: datetime) -> UsageScreen:
    """The usage of the last days, today's so far among them."""
    since = (now - timedelta(days=days - 1)).replace(hour=0, minute=0, second=0, microsecond=0)
    daily = usage.daily_usage(session, frozenset({Segment.DAY}), since=since, until=now)
    summed = usage.daily_usage(session, frozenset({by}), since=since, until=now)
    changes = analytics.changes(daily, since=since, until=now)
    names = [(since + timedelta(days=day)).date().isoformat() for day in range(days)]
    return UsageScreen(now, days, by, [_kind(daily, kind, names) for kind in KINDS], summed, changes)


def _kind(daily: Sequence[UsageRow], kind: Kind, days: Sequence[str]) -> KindUsage:
    charged = {row.day: row.credits[kind] for row in daily}
    # What was given back can exceed what was charged on a day.
    highest = max(1, *(charged.get(day, 0) for day in days))
    bars = [DayBar(day, charged.get(day, 0), max(0, charged.get(day, 0)) / highest) for day in days]
    return KindUsage(kind, bars)
