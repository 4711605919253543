"""Every counter at one moment, read from what processes wrote, and what a rule sees in it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from flask import current_app
from sqlalchemy.orm import Session

from alerts.analysis.attribution import NO_ARMS, Arms, Pairs
from alerts.analysis.cohorts import CohortCounts
from alerts.analysis.evidence import Evidence
from alerts.analysis.metrics import Compare
from alerts.analysis.rule_counts import sum_counts
from alerts.analysis.rules import Per, Rule
from alerts.cohort_totals import CohortTotals
from control_plane.cohort_names import Cohort
from control_plane.platform.extensions import AppState
from control_plane.platform.observability import cohort_counts, signal_points, signals
from control_plane.platform.observability.request_outcomes import arm_label
from control_plane.platform.observability.signals import SeriesKey
from control_plane.signal_counts import Counts
from control_plane.signal_names import EXCESS

HOUR_SECONDS = 3600
SLICES_PER_MINUTE = 60 // signals.SLICE_SECONDS

Minutes = Mapping[tuple[SeriesKey, int], Counts]
Slices = Mapping[tuple[SeriesKey, int], Counts]


@dataclass(frozen=True, slots=True)
class CounterWindow:
    """Counts over some time, by signal: of all that is counted, a rule asks for a few."""

    by_signal: Mapping[str, Sequence[tuple[SeriesKey, Counts]]]

    @classmethod
    def over(cls, counts: Iterable[tuple[SeriesKey, Counts]]) -> "CounterWindow":
        """Return the counts by signal; those of one series add up in whoever asks."""
        found: dict[str, list[tuple[SeriesKey, Counts]]] = {}
        for series, count in counts:
            found.setdefault(series.signal, []).append((series, count))
        return cls(found)

    def of(self, rule: Rule) -> Counts:
        """Return the counts of `rule`; of accounts that came before the window, those that turned bad in it as well."""
        found = sum_counts(rule, [each for signal in rule.signals for each in self.by_signal.get(signal, ())])
        return Counts(found.bad, max(found.bad, found.total)) if rule.by_account else found

    def about(self, signal: str, *engines: str) -> Counts:
        """Return the counts of a signal, those of some engines where they are named."""
        counts = [count for series, count in self.by_signal.get(signal, ()) if not engines or series.engine in engines]
        return Counts(sum(count.bad for count in counts), sum(count.total for count in counts))

    def pairs(self, rule: Rule, discordant: Evidence) -> Pairs:
        """Return how both sides failed on the same requests; `discordant` is the evidence of one-sided failures."""
        names, migration = rule.migration.signals, rule.migration
        decided = self.about(rule.in_unit(names.failure), migration.candidate)
        legacy = self.about(rule.in_unit(names.failure), migration.control)
        # What failed around the candidate: pairs as well, of alerts that count such requests.
        checked = self.about(names.control_check) if rule.counts_around_engines else Counts()
        return Pairs(
            decided=decided.total + checked.total,
            compared=min(decided.total, legacy.total) + checked.total,
            candidate_only=self.about(rule.in_unit(names.failed_candidate_only)).bad + checked.total - checked.bad,
            control_only=self.about(rule.in_unit(names.failed_control_only)).bad,
            control_failed=legacy.bad + checked.bad,
            discordant=discordant,
        )

    def arms(self, rule: Rule) -> Arms:
        """Return the signal's counts per engine; nothing for a rule that compares both answers itself.

        Nor for one that counts what the shadow did: whose shadow it was is not who failed.
        """
        if rule.compare is not Compare.ABSOLUTE or rule.metric.control_apart or rule.metric.of_shadow:
            return NO_ARMS
        return Arms(self.of_side(rule, rule.migration.candidate), self.of_side(rule, rule.migration.control))

    def of_side(self, rule: Rule, side: str) -> Counts:
        """Return the rule's counts of what one side of its migration did, or served where the whole service counts."""
        label = arm_label(rule.flag, side)
        return self.about(rule.signal, side, label)

    def control_faults(self, rule: Rule) -> Counts:
        """Return the outcomes that the control alone failed, of all that the rule counts."""
        if not rule.metric.control_apart:
            return Counts()
        return Counts(self.about(rule.signal, rule.migration.control).bad, self.about(rule.signal).total)


@dataclass(frozen=True, slots=True)
class MigrationCounts:
    """The counts of one migration since the beginning that every alert of its flag needs."""

    discordant: Counts
    """Requests that just one side failed: those of the candidate among all of them."""
    expected_outcomes: int
    """Good outcomes that requests routed to the candidate are due."""
    expected_comparisons: int

    @classmethod
    def of(cls, rule: Rule, window: CounterWindow) -> "MigrationCounts":
        """Pick the counts of the rule's migration; what is due are operations, whatever the rule's unit is."""
        names, candidate = rule.migration.signals, rule.migration.candidate
        failed_candidate_only, failed_control_only = (
            window.about(rule.in_unit(name)).bad for name in (names.failed_candidate_only, names.failed_control_only)
        )
        routed = window.about(names.routed, candidate).total
        return cls(
            Counts(failed_candidate_only, failed_candidate_only + failed_control_only),
            expected_outcomes=routed - window.about(names.outcome_missing, candidate).total,
            expected_comparisons=routed - window.about(names.comparison_missing, candidate).total,
        )


@dataclass(frozen=True, slots=True)
class _LongWindows:
    """What windows of more than an hour hold before the minutes that are read at each tick.

    Summed up by the database once a minute: a day has too many minutes to be read every second.
    """

    minutes_from: int
    sums: Mapping[int, Mapping[SeriesKey, Counts]]
    """By the first minute of a window."""

    @classmethod
    def read(cls, session: Session, rules: Sequence[Rule], minutes_from: int, now: datetime) -> "_LongWindows":
        """Return the sums that `rules` need at `now`, as they were read within the same minute where they were."""
        firsts = {_first_slice(rule, now) // SLICES_PER_MINUTE for rule in rules if _is_long(rule)}
        found = LONG_WINDOWS.get()
        if found is None or found.minutes_from != minutes_from or found.sums.keys() != firsts:
            found = cls(minutes_from, {first: signal_points.sums(session, first, minutes_from) for first in firsts})
            LONG_WINDOWS.set(current_app, found)
        return found


LONG_WINDOWS = AppState[_LongWindows | None]("long_windows", lambda: None)


@dataclass(frozen=True, slots=True)
class Counters:
    """The counts since the beginning, and those of every window."""

    since_the_beginning: CounterWindow
    minutes: Minutes
    slices: Slices
    """The first minute of each window, in ten seconds."""
    long_windows: _LongWindows
    by_migration: Mapping[tuple[str, Per], MigrationCounts]
    """By flag and unit."""
    _windows: dict[int, CounterWindow] = field(default_factory=dict, init=False, repr=False, compare=False)
    """By their first ten seconds: most rules of a tick ask for the same few."""
    _cohorts: list[CohortTotals] = field(default_factory=list, init=False, repr=False, compare=False)

    @classmethod
    def read(cls, session: Session, rules: Sequence[Rule], now: datetime) -> "Counters":
        """Return the counters that `rules` need at `now`."""
        short = [each.window_seconds for each in rules if not _is_long(each)]
        hours = [HOUR_SECONDS for each in rules if each.by_account]
        since = now - timedelta(seconds=max([*short, *hours], default=0.0))
        firsts = {_first_slice(rule, now): _is_long(rule) for rule in rules}
        # Whatever is counted raises a total. So where none has risen, and no window begins later, all is as it was.
        question = _Question(tuple(rules), int(since.timestamp()) // 60, firsts, signals.totals(session))
        known = LAST_ANSWER.get()
        if known is not None and known[0] == question:
            return replace(known[1])
        found = cls._read(session, question, since, now)
        LAST_ANSWER.set(current_app, (question, found))
        return found

    @classmethod
    def _read(cls, session: Session, question: "_Question", since: datetime, now: datetime) -> "Counters":
        short = [first for first, is_long in question.firsts.items() if not is_long]
        slices = {each for first in short for each in range(first, _next_minute(first) * SLICES_PER_MINUTE)}
        window = CounterWindow.over(question.totals.items())
        return cls(
            window,
            signals.minutes(session, since),
            signal_points.slices(session, slices),
            _LongWindows.read(session, question.rules, question.minutes_from, now),
            {
                key: MigrationCounts.of(rule, window)
                for key, rule in {_key(rule): rule for rule in question.rules}.items()
            },
        )

    def by_cohort(self, session: Session, rule: Rule) -> Mapping[Cohort, CohortCounts]:
        """Return the rule's counts since the beginning within each cohort, read at the first question of a tick."""
        if not self._cohorts:
            self._cohorts.append(CohortTotals.of(cohort_counts.read(session)))
        return self._cohorts[0].by_cohort(rule.in_operations)

    def expected(self, rule: Rule) -> int:
        """Return how many counts the requests routed to the candidate owe `rule`; 0 for one about something else."""
        counts = self.by_migration[_key(rule)]
        if rule.compare is Compare.PAIRED:
            return counts.expected_comparisons
        return counts.expected_outcomes if rule.metric.engine == rule.migration.candidate else 0

    def discordant(self, rule: Rule) -> Counts:
        """Return the requests that just one side of the rule's migration failed, since the beginning."""
        return self.by_migration[_key(rule)].discordant

    def of(self, rule: Rule) -> Counts:
        """Return the counts of the rule since the beginning."""
        return self.since_the_beginning.of(rule)

    def operations_of(self, rule: Rule) -> Counts:
        """Return what a rule per account counts, in operations."""
        return self.of(rule.in_operations)

    def in_hour(self, rule: Rule, now: datetime) -> Counts:
        """Return what a rule per account counted in the hour that runs."""
        first = int(now.timestamp()) // HOUR_SECONDS * (HOUR_SECONDS // 60)
        found = [(series, count) for (series, minute), count in self.minutes.items() if minute >= first]
        return sum_counts(rule, [each for each in found if each[0].signal in rule.signals])

    def excess_of(self, rule: Rule) -> int:
        """Return the failures of single accounts, since the beginning, that are no evidence against the release."""
        engines = [rule.metric.engine] if rule.metric.engine else []
        excess = rule.signal + EXCESS
        return self.since_the_beginning.about(excess, *engines).bad

    def control_of(self, rule: Rule) -> Counts:
        """Return the control's operations that `rule` would count, since the beginning; nothing where it can't."""
        if rule.compare is not Compare.ABSOLUTE or rule.metric.engine != rule.migration.candidate:
            return Counts()
        return self.since_the_beginning.of_side(rule.in_operations, rule.migration.control)

    def served_of(self, rule: Rule) -> Counts:
        """Return what the candidate served of what `rule` counts of the whole service, since the beginning."""
        if not rule.metric.engine_unknown:
            return Counts()
        return self.since_the_beginning.of_side(rule, rule.migration.candidate)

    def in_window(self, rule: Rule, now: datetime) -> CounterWindow:
        """Return the counts in the rule's window that ends at `now`."""
        first = _first_slice(rule, now)
        if first not in self._windows:
            counts = self._in_long_window(first) if _is_long(rule) else self._in_short_window(first)
            self._windows[first] = CounterWindow.over(counts)
        return self._windows[first]

    def _in_short_window(self, first: int) -> Iterator[tuple[SeriesKey, Counts]]:
        following = _next_minute(first)
        begun = range(first, following * SLICES_PER_MINUTE)
        yield from ((series, count) for (series, minute), count in self.minutes.items() if minute >= following)
        yield from ((series, count) for (series, each), count in self.slices.items() if each in begun)

    def _in_long_window(self, first: int) -> Iterator[tuple[SeriesKey, Counts]]:
        yield from self.long_windows.sums[first // SLICES_PER_MINUTE].items()
        yield from ((series, count) for (series, _), count in self.minutes.items())


@dataclass(frozen=True, slots=True)
class _Question:
    """All that counters depend on."""

    rules: tuple[Rule, ...]
    minutes_from: int
    firsts: Mapping[int, bool]
    """The ten seconds in which windows begin, and whether those are long ones."""
    totals: Mapping[SeriesKey, Counts]


LAST_ANSWER = AppState[tuple[_Question, Counters] | None]("last_counters", lambda: None)
"""Of an idle service the same counters are wanted again and again."""


def _key(rule: Rule) -> tuple[str, Per]:
    return rule.migration.flag, rule.per


def _is_long(rule: Rule) -> bool:
    """Return whether the rule's window is counted in whole minutes: ten seconds are not kept for so long."""
    return rule.window_seconds > signals.SLICES_KEPT_SECONDS


def _first_slice(rule: Rule, now: datetime) -> int:
    """Return the ten seconds of the epoch in which the window that ends now begins."""
    return int((now - timedelta(seconds=rule.window_seconds)).timestamp()) // signals.SLICE_SECONDS


def _next_minute(first_slice: int) -> int:
    """Return the first minute of which all is in a window that begins in `first_slice`."""
    return first_slice // SLICES_PER_MINUTE + 1
