"""Every counter at one moment, read from what processes wrote, and what a rule sees in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from alerts.attribution import Pairs
from alerts.evidence import Counts, Evidence
from alerts.metrics import FAILED_LEGACY_ONLY, FAILED_V2_ONLY, Compare
from alerts.rules import Rule, counted
from control_plane.platform import signals
from control_plane.platform.signals import Count, Series

V2, LEGACY = "v2", "legacy"
FAILURE = "credit_consumption_failure"
ROUTED = "credit_routed"
"""Written as the router answers, before anything else can go wrong."""
UNCOUNTED = "credit_uncounted"
UNCOMPARED = "credit_uncompared"
"""Routed operations that owe no good outcome, or no comparison, because they failed or were counted before."""

Totals = Mapping[Series, Count]
Minutes = Mapping[tuple[Series, int], Count]


@dataclass(frozen=True, slots=True)
class Counters:
    """Totals since the beginning, and minutes of the longest window."""

    totals: Totals
    minutes: Minutes
    _windows: dict[int, dict[Series, Count]] = field(default_factory=dict, init=False, repr=False, compare=False)
    """By their first minute: most rules of a tick ask for the same few."""

    @classmethod
    def read(cls, session: Session, rules: Sequence[Rule], now: datetime) -> "Counters":
        """The counters that `rules` need at `now`."""
        longest = max((rule.window_seconds for rule in rules), default=0.0)
        since = now - timedelta(seconds=longest)
        return cls(signals.totals(session), signals.minutes(session, since))

    def due(self, rule: Rule) -> int:
        """How many counts the operations that v2 was given owe `rule`; 0 for a rule that speaks of something else."""
        if rule.compare is Compare.PAIRED:
            return self._total(ROUTED) - self._total(UNCOMPARED)
        return self._total(ROUTED) - self._total(UNCOUNTED) if rule.metric.engine == V2 else 0

    @property
    def discordant(self) -> Counts:
        """Requests that just one engine failed: those of v2 among all of them."""
        v2, legacy = _bad(self.totals, FAILED_V2_ONLY), _bad(self.totals, FAILED_LEGACY_ONLY)
        return Counts(v2, v2 + legacy)

    def of(self, rule: Rule) -> Counts:
        """What the rule counts, since the beginning."""
        return counted(rule, self.totals.items())

    def in_window(self, rule: Rule, now: datetime) -> Totals:
        """The counts of the rule's window that ends now, to the minute."""
        first = int((now - timedelta(seconds=rule.window_seconds)).timestamp()) // 60
        if first not in self._windows:
            self._windows[first] = self._after(first)
        return self._windows[first]

    def _after(self, first: int) -> dict[Series, Count]:
        window: dict[Series, Count] = {}
        for (series, minute), count in self.minutes.items():
            if minute > first:
                before = window.get(series, Count(0, 0))
                window[series] = Count(before.bad + count.bad, before.total + count.total)
        return window

    def _total(self, signal: str) -> int:
        return sum(count.total for key, count in self.totals.items() if key.signal == signal and key.engine == V2)


def pairs(window: Totals, discordant: Evidence) -> Pairs:
    """Who failed whose requests in `window`."""
    decided, legacy = _of_engine(window, V2), _of_engine(window, LEGACY)
    return Pairs(
        decided=decided.total,
        compared=min(decided.total, legacy.total),
        v2_only=_bad(window, FAILED_V2_ONLY),
        legacy_only=_bad(window, FAILED_LEGACY_ONLY),
        legacy_failed=legacy.bad,
        discordant=discordant,
    )


def _bad(counts: Totals, signal: str) -> int:
    return sum(count.bad for series, count in counts.items() if series.signal == signal)


def _of_engine(window: Totals, engine: str) -> Count:
    counts = [count for series, count in window.items() if series.signal == FAILURE and series.engine == engine]
    return Count(sum(count.bad for count in counts), sum(count.total for count in counts))
