"""What days of usage have in common, and on which of them consumption jumped or fell."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from credits_engine.plans import Kind
from credits_engine.store.usage import UsageRow

SPIKE_RATIO, DROP_RATIO = 2.0, 0.5
COMPARED_DAYS = 7
COMPARED_DAYS_MIN = 3
NOTABLE_CREDITS = 20


@dataclass(frozen=True, slots=True)
class Change:
    """A day whose consumption of one kind stands out from the median of the days before it."""

    day: str
    kind: Kind
    direction: str
    charged: int
    usual: float


def changes(rows: Iterable[UsageRow]) -> list[Change]:
    """Spikes to twice and drops to half of the median of up to seven days before; small numbers are left out."""
    totals: dict[str, dict[Kind, int]] = defaultdict(lambda: dict.fromkeys(Kind, 0))
    for row in rows:
        totals[row.day][Kind.ANALYSIS] += row.analysis
        totals[row.day][Kind.ROAST] += row.roast
    days = sorted(totals)
    found = []
    for index, day in enumerate(days):
        before = days[max(0, index - COMPARED_DAYS) : index]
        if len(before) >= COMPARED_DAYS_MIN:
            for kind in Kind:
                found += _change(day, kind, totals[day][kind], median(totals[each][kind] for each in before))
    return found


def _change(day: str, kind: Kind, charged: int, usual: float) -> list[Change]:
    if max(charged, usual) < NOTABLE_CREDITS:
        return []
    if charged >= usual * SPIKE_RATIO:
        return [Change(day, kind, "spike", charged, usual)]
    return [Change(day, kind, "drop", charged, usual)] if charged <= usual * DROP_RATIO else []
