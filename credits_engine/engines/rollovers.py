"""Rules by which credits that a billing period left unused roll over into the next one. Pure.

Only the plan's own credits roll over, never those that came over from a period before. What rolls over is spent after
the next plan's credits, as a pack is.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType

from credits_engine.engines.amounts import KINDS, Amounts, Limit, Limits
from credits_engine.engines.periods import Period, billing_period, period_at

MAX_PERCENT_MAX = 100
PERIODS_MAX = 12


@dataclass(frozen=True, slots=True)
class Rollover:
    """The most of one kind that rolls over, as an amount or in percent of the limit, and for how many periods."""

    max: int | None = None
    max_percent: int | None = None
    periods: int = 1

    def amount(self, limit: Limit, used: int) -> int:
        """Return how much of `limit` rolls over where `used` was used; nothing of what is unlimited."""
        if limit is None:
            return 0
        most = limit * (self.max_percent or 0) // 100 if self.max is None else self.max
        return min(most, max(limit - used, 0))


Rollovers = Mapping[str, Rollover]
"""The rules of one plan by kind; of a kind that has none nothing rolls over."""
NO_ROLLOVERS: Rollovers = MappingProxyType({})


def with_seats(rules: Rollovers, seats: int) -> Rollovers:
    """Return the rules of so many seats; a percentage is one of the limit of all of them already."""
    return {kind: rule if rule.max is None else replace(rule, max=rule.max * seats) for kind, rule in rules.items()}


def rolled_over(rules: Rollovers, limits: Limits, used: Amounts) -> Amounts:
    """Return how much of each kind rolls over from a period that ended."""
    return Amounts(*(rules[kind].amount(limits[kind], used[kind]) if kind in rules else 0 for kind in KINDS))


def raised(limits: Limits, by: Amounts) -> Limits:
    """Return limits that are so much higher, or lower by negative amounts to 0 at least; what is unlimited stays so."""
    return Limits.of(lambda kind: None if (limit := limits[kind]) is None else max(limit + by[kind], 0))


def is_whole(period: Period) -> bool:
    """Return whether a period is a month by some anchor: not cut short, by whatever.

    The anchor that it was counted from may be gone, and was on the later of the days where a month clipped it.
    """
    return period in (billing_period(period.start, period.start), billing_period(period.end, period.start))


def last_end(opened: Period, anchor: datetime | None, periods: int) -> datetime:
    """Return the end of the last of so many periods, of which `opened` is the first."""
    end = opened.end
    for _ in range(periods - 1):
        end = period_at(anchor, end).end
    return end


def rule_errors(rules: Rollovers, kinds: set[str], amount_max: int) -> list[str]:
    """Return why these rules can't be a plan's, a sentence each."""
    found = [f"nothing can roll over of {kind}, which is no kind of credits." for kind in sorted(rules.keys() - kinds)]
    for kind, rule in rules.items():
        if (rule.max is None) == (rule.max_percent is None):
            found.append(f"say of {kind} the most that rolls over either as max or as max_percent.")
        if rule.max is not None and not 0 <= rule.max <= amount_max:
            found.append(f"the most of {kind} that rolls over is a whole number from 0.")
        if rule.max_percent is not None and not 0 <= rule.max_percent <= MAX_PERCENT_MAX:
            found.append(f"the most of {kind} that rolls over is 0 to {MAX_PERCENT_MAX} percent.")
        if not 1 <= rule.periods <= PERIODS_MAX:
            found.append(f"what rolls over of {kind} lasts for 1 to {PERIODS_MAX} periods.")
    return found
