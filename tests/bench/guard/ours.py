"""The product's own evidence and verdicts, fed with random traffic."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import groupby
from math import inf, log
from operator import add, itemgetter, sub

import numpy as np

from alerts.analysis.attribution import Pairs
from alerts.analysis.bursts import Bursts, Increment, weigh
from alerts.analysis.evidence import Evidence
from alerts.analysis.judge_inputs import JudgeInputs
from alerts.analysis.rules import HOLD_TIMES, ErrorBudget, Rule
from alerts.analysis.safety_test import clean_outcomes_needed
from alerts.analysis.sequential_test import discordant_test, step
from alerts.analysis.verdicts import Status, judge
from control_plane.signal_counts import Counts
from tests.bench.guard.draws import DAY_SECONDS, Traffic, increments

START = datetime(2026, 3, 1, tzinfo=UTC)
EXPOSED = JudgeInputs(exposed=True, window=Counts())
FAULT_DAYS = 1.0
LOOK_EVERY = 10


@dataclass(frozen=True, slots=True)
class SimulatedAlert:
    """An alert, the alphas it is judged at, and its traffic."""

    rule: Rule
    alphas: tuple[float, ...]
    per_minute: float


@dataclass(frozen=True, slots=True)
class Alarm:
    """The outcome of an alert: which of the alphas rolled back, and the highest ln E seen."""

    fired: tuple[bool, ...]
    peak_log_e: float


@dataclass(slots=True)
class Guard:
    """One alert, judged after every increment that could matter, once per alpha."""

    rule: Rule
    alphas: tuple[float, ...]
    evidence: Evidence = field(default_factory=Evidence)
    bursts: Bursts = field(default_factory=Bursts)
    requests: int = 0
    fired: dict[int, int] = field(default_factory=dict)
    """At how many requests each alpha, by its index, first rolled back."""

    def __post_init__(self) -> None:
        # These figures are of the alert alone: one that can't tell the engines apart would hold until others blame v2.
        self.rule = replace(self.rule, metric=replace(self.rule.metric, engine_unknown=False))

    def see(self, at: datetime, counts: Counts, inputs: JudgeInputs = EXPOSED) -> None:
        """Count, weigh and judge."""
        self.requests += counts.total
        self.evidence, self.bursts = weigh(
            self.rule, self.evidence, self.bursts, Increment(counts), at=at, learning=not inputs.exposed
        )
        evidence = self.bursts.combine(self.evidence)
        if evidence.log_e < -log(max(self.alphas)):
            return
        for index, alpha in enumerate(self.alphas):
            verdict = judge(
                self.rule, evidence, inputs, budget=ErrorBudget(alpha, HOLD_TIMES * alpha), previous=None, now=at
            )
            if verdict.status is Status.ROLLBACK:
                self.fired.setdefault(index, self.requests)

    @property
    def finished(self) -> bool:
        """Every alpha has rolled back."""
        return len(self.fired) == len(self.alphas)

    @property
    def alarm(self) -> Alarm:
        """The outcome so far."""
        return Alarm(tuple(index in self.fired for index in range(len(self.alphas))), self.evidence.peak_log_e)


def watch(guard: Guard, rng: np.random.Generator, traffic: Traffic, *, since_seconds: float = 0) -> Guard:
    """Return `guard` after `traffic` that begins `since_seconds` after the start, or after its last rollback."""
    window_seconds = guard.rule.window_seconds
    for window, counts in increments(rng, traffic, window_seconds):
        guard.see(_at(guard.rule, window, since_seconds), counts)
        if guard.finished:
            break
    return guard


def false_alarm(rng: np.random.Generator, watched: Sequence[SimulatedAlert], factor: float, days: float) -> Alarm:
    """Run a phase in which every rate is `factor` times its threshold; return which alphas of any alert rolled back."""
    seconds = days * DAY_SECONDS
    guards = [
        watch(Guard(each.rule, each.alphas), rng, Traffic(each.per_minute, factor * each.rule.threshold, seconds))
        for each in watched
    ]
    peak = max(guard.evidence.peak_log_e for guard in guards)
    return Alarm(tuple(any(index in guard.fired for guard in guards) for index in range(len(watched[0].alphas))), peak)


def detection(rng: np.random.Generator, watched: SimulatedAlert, bad_rate: float, healthy_days: float) -> list[float]:
    """Requests from the fault to the rollback, per alpha; healthy means a tenth of the threshold."""
    guard = Guard(watched.rule, watched.alphas)
    healthy_seconds = healthy_days * DAY_SECONDS
    if healthy_seconds:
        watch(guard, rng, Traffic(watched.per_minute, watched.rule.threshold / 10, healthy_seconds))
        guard.requests = 0
    watch(guard, rng, Traffic(watched.per_minute, bad_rate, FAULT_DAYS * DAY_SECONDS), since_seconds=healthy_seconds)
    return [guard.fired.get(index, inf) for index in range(len(watched.alphas))]


def retried(rng: np.random.Generator, watched: SimulatedAlert, factor: float, extra_attempts: float) -> Alarm:
    """Run a day in which each failing operation is tried about `extra_attempts` times more, and each try counted."""
    guard = Guard(watched.rule, watched.alphas)
    traffic = Traffic(watched.per_minute, factor * watched.rule.threshold, DAY_SECONDS)
    for window, counts in increments(rng, traffic, watched.rule.window_seconds):
        extra = int(rng.poisson(extra_attempts)) if counts.bad and extra_attempts else 0
        guard.see(_at(watched.rule, window), counts + Counts(extra, extra))
        if guard.finished:
            break
    return guard.alarm


def broken_account(rng: np.random.Generator, watched: SimulatedAlert, account_window_seconds: float) -> Alarm:
    """Run a healthy day, but for one account that fails once a second and counts once per `account_window_seconds`."""
    guard = Guard(watched.rule, watched.alphas)
    window_seconds = watched.rule.window_seconds
    healthy = increments(rng, Traffic(watched.per_minute, watched.rule.threshold / 10, DAY_SECONDS), window_seconds)
    failures = max(1, round(window_seconds / account_window_seconds))
    each = max(1, round(account_window_seconds / window_seconds))
    for window, group in groupby(healthy, key=itemgetter(0)):
        if window % each == 0:
            guard.see(_at(watched.rule, window), Counts(failures, failures))
        for _, counts in group:
            guard.see(_at(watched.rule, window), counts)
        if guard.finished:
            break
    return guard.alarm


def certified_after(rng: np.random.Generator, threshold: float, bad_rate: float, outcomes: int) -> float:
    """Outcomes until the certificate, inf if `outcomes` do not bring it; looked at after every one."""
    seen = Counts()
    while seen.total < outcomes:
        gap = int(rng.geometric(bad_rate)) - 1 if bad_rate else outcomes
        missing = clean_outcomes_needed(threshold, seen)
        if missing is not None and missing <= min(gap, outcomes - seen.total):
            return seen.total + missing
        seen += Counts(1, gap + 1)
    return inf


@dataclass(frozen=True, slots=True)
class TrafficSpan:
    """So many requests, how often each engine fails them, and whether legacy fails just those that v2 fails."""

    requests: int
    v2: float
    legacy: float
    together: bool = False


def compared(
    rng: np.random.Generator, watched: SimulatedAlert, spans: Sequence[TrafficSpan], *, attributed: bool = True
) -> list[float]:
    """Requests of the last stretch until the rollback, per alpha; 0 for a rollback before it, inf for none."""
    rule = watched.rule
    guard, at, discordant, recent = Guard(rule, watched.alphas), START, Evidence(), RecentRequests(rule.window_seconds)
    bet = discordant_test(window_seconds=rule.window_seconds)
    for span in spans:
        before = dict.fromkeys(guard.fired, 0)
        guard.fired, guard.requests = before, 0
        for requests, v2_failed, legacy_failed in _increments(rng, span):
            at += timedelta(minutes=requests / watched.per_minute)
            recent.add(at, requests, v2_failed=v2_failed, legacy_failed=legacy_failed)
            if v2_failed != legacy_failed:
                discordant = step(bet, discordant, Counts(int(v2_failed), 1), at=at)
            pairs = recent.pairs(discordant) if attributed else None
            guard.see(at, Counts(int(v2_failed), requests), JudgeInputs(exposed=True, window=Counts(), pairs=pairs))
            if guard.finished:
                break
    return [guard.fired.get(index, inf) for index in range(len(watched.alphas))]


def _increments(rng: np.random.Generator, span: TrafficSpan) -> Iterator[tuple[int, bool, bool]]:
    """Yield (requests, v2 failed, legacy failed): a look at each failure, and at least every LOOK_EVERY requests."""
    v2 = rng.random(span.requests) < span.v2
    legacy = v2 if span.together else rng.random(span.requests) < span.legacy
    seen = 0
    for v2_failed, legacy_failed in zip(v2.tolist(), legacy.tolist(), strict=True):
        seen += 1
        if v2_failed or legacy_failed or seen == LOOK_EVERY:
            yield seen, v2_failed, legacy_failed
            seen = 0


def _at(rule: Rule, window: int, since_seconds: float = 0) -> datetime:
    return START + timedelta(seconds=since_seconds + window * rule.window_seconds)


class RecentRequests:
    """The requests of the last window, and which engine failed them."""

    def __init__(self, window_seconds: float) -> None:
        self._window = timedelta(seconds=window_seconds)
        self._looks: deque[tuple[datetime, tuple[int, int, int, int]]] = deque()
        self._sums = (0, 0, 0, 0)

    def add(self, at: datetime, requests: int, *, v2_failed: bool, legacy_failed: bool) -> None:
        """Add requests, the last of which may have failed; those older than a window leave."""
        candidate_only, control_only = v2_failed and not legacy_failed, legacy_failed and not v2_failed
        counts = (requests, int(candidate_only), int(control_only), int(legacy_failed))
        self._looks.append((at, counts))
        self._sums = tuple(map(add, self._sums, counts))
        while self._looks[0][0] <= at - self._window:
            self._sums = tuple(map(sub, self._sums, self._looks.popleft()[1]))

    def pairs(self, discordant: Evidence) -> Pairs:
        """Return the window as the verdict wants it."""
        requests, candidate_only, control_only, legacy_failed = self._sums
        return Pairs(requests, requests, candidate_only, control_only, legacy_failed, discordant)
