"""Analytics of usage by day: the usual amount, and the days on which consumption jumped or fell."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from statistics import median

from credits_engine.engines.amounts import KINDS, Amounts, Kind
from credits_engine.store.usage import UsageRow

SPIKE_RATIO, DROP_RATIO = 2.0, 0.5
COMPARED_DAYS = 7
COMPARED_DAYS_MIN = 3
NOTABLE_CREDITS = 20
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Change:
    """A day whose consumption of one kind stands out from the median of the days before it."""

    day: str
    kind: Kind
    direction: str
    charged: int
    usual: float


def changes(rows: Iterable[UsageRow], *, since: datetime, until: datetime) -> list[Change]:
    """Find spikes to twice and drops to half of the median of up to seven days before; small numbers are left out.

    A day without any row counted nothing. Only whole days of `[since, until)` are compared.
    """
    totals: dict[str, Amounts] = defaultdict(Amounts)
    for row in rows:
        totals[row.day] += row.credits
    days = [day.isoformat() for day in _full_days(since, until) if totals and day.isoformat() >= min(totals)]
    found = []
    for index, day in enumerate(days):
        before = days[max(0, index - COMPARED_DAYS) : index]
        if len(before) >= COMPARED_DAYS_MIN:
            for kind in KINDS:
                found += _change(day, kind, totals[day][kind], median(totals[each][kind] for each in before))
    return found


def _full_days(since: datetime, until: datetime) -> Iterator[date]:
    """Yield the UTC days that lie in the span from their first to their last instant."""
    midnight = since.replace(hour=0, minute=0, second=0, microsecond=0)
    start = midnight if midnight == since else midnight + DAY
    while start + DAY <= until:
        yield start.date()
        start += DAY


def _change(day: str, kind: Kind, charged: int, usual: float) -> list[Change]:
    if max(charged, usual) < NOTABLE_CREDITS:
        return []
    if charged >= usual * SPIKE_RATIO:
        return [Change(day, kind, "spike", charged, usual)]
    return [Change(day, kind, "drop", charged, usual)] if charged <= usual * DROP_RATIO else []
