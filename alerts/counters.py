"""Every counter at one moment, read from what processes wrote, and what a rule sees in it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from alerts.analysis.attribution import NO_ARMS, Arms, Pairs
from alerts.analysis.metrics import FAILED_LEGACY_ONLY, FAILED_V2_ONLY, LEGACY, V2, Compare
from alerts.analysis.rules import Rule, counted
from alerts.analysis.sequential_test import Counts, Evidence
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import Count, SeriesKey

FAILURE = "credit_consumption_failure"
ROUTED = "credit_routed"
"""Written as the router answers, before anything else can go wrong."""
UNCOUNTED = "credit_outcome_missing"
UNCOMPARED = "credit_comparison_missing"
"""Routed operations that owe no good outcome, or no comparison, because they failed or were counted before."""

SLICES_PER_MINUTE = 60 // signals.SLICE_SECONDS

Minutes = Mapping[tuple[SeriesKey, int], Count]
Slices = Mapping[tuple[SeriesKey, int], Count]


@dataclass(frozen=True, slots=True)
class CounterWindow:
    """Counts over some time, by signal: of all that is counted, a rule asks for a few."""

    by_signal: Mapping[str, Sequence[tuple[SeriesKey, Count]]]

    @classmethod
    def over(cls, counts: Iterable[tuple[SeriesKey, Count]]) -> "CounterWindow":
        """The counts by signal; those of one series add up in whoever asks."""
        found: dict[str, list[tuple[SeriesKey, Count]]] = {}
        for series, count in counts:
            found.setdefault(series.signal, []).append((series, count))
        return cls(found)

    def of(self, rule: Rule) -> Counts:
        """Return the counts of `rule`."""
        return counted(rule, [each for signal in rule.signals for each in self.by_signal.get(signal, ())])

    def about(self, signal: str, engine: str = "") -> Counts:
        """The counts of a signal, those of one engine if it is named."""
        counts = [count for series, count in self.by_signal.get(signal, ()) if engine in {"", series.engine}]
        return Counts(sum(count.bad for count in counts), sum(count.total for count in counts))

    def pairs(self, discordant: Evidence) -> Pairs:
        """Return how the engines failed on the same requests; `discordant` is the evidence of one-sided failures."""
        decided, legacy = self.about(FAILURE, V2), self.about(FAILURE, LEGACY)
        return Pairs(
            decided=decided.total,
            compared=min(decided.total, legacy.total),
            v2_only=self.about(FAILED_V2_ONLY).bad,
            legacy_only=self.about(FAILED_LEGACY_ONLY).bad,
            legacy_failed=legacy.bad,
            discordant=discordant,
        )

    def arms(self, rule: Rule) -> Arms:
        """Return the signal's counts per engine; nothing for a rule that compares both answers itself."""
        if rule.compare is not Compare.ABSOLUTE or rule.metric.legacy_apart:
            return NO_ARMS
        return Arms(self.about(rule.metric.signal, V2), self.about(rule.metric.signal, LEGACY))

    def legacy_faults(self, rule: Rule) -> Counts:
        """Return the outcomes that legacy alone failed, of all that the rule counts."""
        if not rule.metric.legacy_apart:
            return Counts()
        return Counts(self.about(rule.metric.signal, LEGACY).bad, self.about(rule.metric.signal).total)


@dataclass(frozen=True, slots=True)
class Counters:
    """The counts since the beginning, and per minute of the longest window."""

    since_the_beginning: CounterWindow
    minutes: Minutes
    slices: Slices
    """The first minute of each window, in ten seconds."""
    discordant: Counts
    """Requests that just one engine failed: those of v2 among all of them."""
    owed: int
    """Good outcomes that operations routed to v2 are due."""
    owed_comparisons: int
    _windows: dict[int, CounterWindow] = field(default_factory=dict, init=False, repr=False, compare=False)
    """By their first ten seconds: most rules of a tick ask for the same few."""

    @classmethod
    def read(cls, session: Session, rules: Sequence[Rule], now: datetime) -> "Counters":
        """The counters that `rules` need at `now`."""
        longest = max((rule.window_seconds for rule in rules), default=0.0)
        minutes = signals.minutes(session, now - timedelta(seconds=longest))
        firsts = {_first_slice(rule, now) for rule in rules if rule.window_seconds <= signals.SLICES_KEPT_SECONDS}
        wanted = {each for first in firsts for each in range(first, _next_minute(first) * SLICES_PER_MINUTE)}
        tally = CounterWindow.over(signals.totals(session).items())
        alone = tally.about(FAILED_V2_ONLY).bad
        routed = tally.about(ROUTED, V2).total
        return cls(
            tally,
            minutes,
            signals.slices(session, wanted),
            discordant=Counts(alone, alone + tally.about(FAILED_LEGACY_ONLY).bad),
            owed=routed - tally.about(UNCOUNTED, V2).total,
            owed_comparisons=routed - tally.about(UNCOMPARED, V2).total,
        )

    def expected(self, rule: Rule) -> int:
        """Return how many counts the operations routed to v2 owe `rule`; 0 for a rule about something else."""
        if rule.compare is Compare.PAIRED:
            return self.owed_comparisons
        return self.owed if rule.metric.engine == V2 else 0

    def of(self, rule: Rule) -> Counts:
        """Return the counts of the rule since the beginning."""
        return self.since_the_beginning.of(rule)

    def in_window(self, rule: Rule, now: datetime) -> CounterWindow:
        """Return the counts in the rule's window that ends at `now`."""
        first = _first_slice(rule, now)
        if first not in self._windows:
            following = _next_minute(first)
            is_long = rule.window_seconds > signals.SLICES_KEPT_SECONDS
            whole = following - 1 if is_long else following
            counts = [(series, count) for (series, minute), count in self.minutes.items() if minute >= whole]
            if not is_long:
                begun = range(first, following * SLICES_PER_MINUTE)
                counts += [(series, count) for (series, each), count in self.slices.items() if each in begun]
            self._windows[first] = CounterWindow.over(counts)
        return self._windows[first]


def _first_slice(rule: Rule, now: datetime) -> int:
    """The ten seconds of the epoch in which the window that ends now begins."""
    return int((now - timedelta(seconds=rule.window_seconds)).timestamp()) // signals.SLICE_SECONDS


def _next_minute(first_slice: int) -> int:
    """The first minute of which all is in a window that begins in `first_slice`."""
    return first_slice // SLICES_PER_MINUTE + 1
