"""The same evidence within each cohort: a plan, a kind, those near a limit, accounts that failed before. Pure.

What fails for a few is diluted among all. So each cohort is tested like the whole, against the same threshold, with a
part of the alert's budget. How many cohorts there will be is not known beforehand, so the n-th dimension to appear gets
1 / (n (n + 1)) of that part, and within it the n-th cohort again as much: both add up to 1, however many come.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from math import log
from typing import Any, NamedTuple

from alerts.analysis.attribution import CANDIDATE_WORSE_LOG_E, NO_COUNTS, Arms, Attribution
from alerts.analysis.evidence import Evidence, from_json, to_json
from alerts.analysis.metrics import Compare
from alerts.analysis.rules import Action, ErrorBudget, Rule, rule_test
from alerts.analysis.sequential_test import step
from control_plane.cohort_names import Cohort
from control_plane.signal_counts import Counts

ACCOUNTS_MIN = 3
"""Fewer failing accounts than this speak for themselves alone."""
QUIET_LOG_E = log(3)
MOST, TIMES_OTHERS, EXPECTED_MIN = 0.75, 4, 2
"""A cohort explains a breach where it has so many of the bad outcomes and fails so many times as often as the rest.

The rest, where there is any, must be so large that it would have had so many bad ones at the cohort's rate: what it
would hardly have shown tells nothing of the cohort.
"""
COHORTS_MAX = 200
"""So many are weighed in an attempt."""
NOTIFYING_MAX = 100
"""So many of them may be accounts, which come and go and only notify: a plan finds room after them."""
FAILS_TIMES = 4
"""The control fails as well where the candidate's rate in the cohort is at most so many times the control's."""


@dataclass(frozen=True, slots=True)
class CohortCounts:
    """What was counted of a cohort since the beginning, for one alert."""

    candidate: Counts = field(default_factory=Counts)
    control: Counts = field(default_factory=Counts)
    accounts: int = 0
    """How many accounts failed in the hour of the last failure."""
    at_most: Action = Action.ROLLBACK
    """What it may lead to: an account only to a notification, accounts that failed before to a hold."""


class RecentCounts(NamedTuple):
    """Counts of a window and of the one before it, so that there is no moment at which nothing is recent."""

    window: int = 0
    latest: Counts = NO_COUNTS
    earlier: Counts = NO_COUNTS

    @property
    def counts(self) -> Counts:
        return self.latest + self.earlier

    def add(self, counts: Counts, window: int) -> "RecentCounts":
        """Return them with `counts`, which are of `window`."""
        if window == self.window:
            return RecentCounts(window, self.latest + counts, self.earlier)
        return RecentCounts(window, counts, self.latest if window == self.window + 1 else NO_COUNTS)


NOTHING_RECENT = RecentCounts()


@dataclass(frozen=True, slots=True)
class CohortMemory:
    """What is kept of a cohort between ticks. `seen` is what was turned into evidence or came before the attempt."""

    weight: float
    seen: CohortCounts
    evidence: Evidence = field(default_factory=Evidence)
    control: Counts = field(default_factory=Counts)
    """What the control did since the attempt began."""
    recent: RecentCounts = NOTHING_RECENT
    """What the control did lately: after a long healthy time an outage of both hardly shows in all of its counts."""


Memories = Mapping[Cohort, CohortMemory]


@dataclass(frozen=True, slots=True)
class CohortFinding:
    """The cohort for which there is most evidence, and what that amounts to."""

    cohort: Cohort
    evidence: Evidence
    budget: ErrorBudget
    attribution: Attribution
    accounts: int
    at_most: Action
    explains: bool
    """It has most of the alert's bad outcomes, and fails far more often than the rest."""
    lingers: bool
    """Its evidence would keep a hold: it is as far below its bar as that of the whole may be."""

    @property
    def breached(self) -> bool:
        """Return whether the evidence is enough for a rollback."""
        return self.budget.is_reached_by(self.evidence)

    @property
    def suspect(self) -> bool:
        """Return whether the evidence is enough for a hold."""
        return self.evidence.log_e >= self.budget.hold_log_e

    @property
    def only_notifies(self) -> bool:
        """Return whether it speaks of single accounts, which only notify."""
        return self.at_most is Action.NOTIFY or self.accounts < ACCOUNTS_MIN


def update(
    rule: Rule,
    before: Memories,
    counts: Mapping[Cohort, CohortCounts],
    *,
    at: datetime,
    burst_size: float,
    begins: bool,
) -> Memories:
    """Return what is known of each cohort after `counts`; the same where nothing changed.

    As an attempt `begins`, what was counted so far is no evidence in it. An account that is counted no more, as it has
    not come by for a day, makes room for one that comes late.
    """
    after = {each: memory for each, memory in before.items() if each in counts or not _only_notifies(memory)}
    for cohort in _admitted(after, counts):
        totals = counts[cohort] if begins else CohortCounts(at_most=counts[cohort].at_most)
        after[cohort] = CohortMemory(_weight(cohort, after), totals)
    for cohort in counts.keys() & after.keys():
        after[cohort] = _next(rule, after[cohort], counts[cohort], at=at, burst_size=burst_size)
    unchanged = after.keys() == before.keys() and all(after[each] is before[each] for each in before)
    return before if unchanged else after


def _only_notifies(memory: CohortMemory) -> bool:
    return memory.seen.at_most is Action.NOTIFY


def most_certain(rule: Rule, memories: Memories, budget: ErrorBudget, whole: Counts) -> CohortFinding | None:
    """Return the cohort whose evidence has the gravest consequence; None where there is hardly any.

    `whole` are the alert's counts since the attempt began. Of an alert per account only what explains a breach is told.
    """
    if not budget.cohorts and not rule.by_account:
        return None
    found = [
        _finding(rule, cohort, memory, budget, _of_dimension(memories, cohort) if rule.by_account else whole)
        for cohort, memory in memories.items()
        if memory.evidence.log_e >= QUIET_LOG_E
    ]
    return max((each for each in found if each.explains or not rule.by_account), key=_order, default=None)


def _of_dimension(memories: Memories, cohort: Cohort) -> Counts:
    """Return the operations of all cohorts of one dimension, where nobody has counted all of them."""
    return sum(
        (each.evidence.counts for known, each in memories.items() if known.dimension == cohort.dimension), Counts()
    )


def cohort_text(cohort: Cohort) -> str:
    """Return `cohort` as it follows `operations` in a sentence."""
    return f"of {cohort.dimension} {cohort.name}" if cohort.name else cohort.dimension


def cohort_to_json(memory: CohortMemory) -> tuple[dict[str, object], dict[str, object]]:
    """Return counts and evidence as plain JSON values."""
    totals = memory.seen
    counts = {
        "weight": memory.weight,
        "seen": [*_pair(totals.candidate), *_pair(totals.control), totals.accounts],
        "at_most": totals.at_most.value,
        "control": [memory.control.bad, memory.control.total],
        "recent": [memory.recent.window, *_pair(memory.recent.latest), *_pair(memory.recent.earlier)],
    }
    return counts, to_json(memory.evidence)


def cohort_from_json(counts: Mapping[str, Any], evidence: Mapping[str, Any]) -> CohortMemory:
    """Return the memory that `cohort_to_json` wrote."""
    bad, total, control_bad, control_total, accounts = counts["seen"]
    at_most = Action(counts["at_most"])
    totals = CohortCounts(Counts(bad, total), Counts(control_bad, control_total), accounts, at_most)
    # Memories of an earlier release have nothing recent.
    window, *recent = counts.get("recent", [0, 0, 0, 0, 0])
    lately = RecentCounts(window, Counts(*recent[:2]), Counts(*recent[2:]))
    return CohortMemory(counts["weight"], totals, from_json(evidence), Counts(*counts["control"]), lately)


def _pair(counts: Counts) -> tuple[int, int]:
    return counts.bad, counts.total


def _admitted(before: Memories, counts: Mapping[Cohort, CohortCounts]) -> list[Cohort]:
    """Return the new cohorts for which there is room, those first that may do more than notify."""
    fresh = sorted(counts.keys() - before.keys())
    notifying = [each for each in fresh if counts[each].at_most is Action.NOTIFY]
    acting = [each for each in fresh if counts[each].at_most is not Action.NOTIFY]
    room = NOTIFYING_MAX - sum(map(_only_notifies, before.values()))
    found = [*acting, *notifying[: max(0, room)]]
    return sorted(found[: max(0, COHORTS_MAX - len(before))])


def _weight(cohort: Cohort, known: Memories) -> float:
    dimensions = list(dict.fromkeys(each.dimension for each in known))
    if cohort.dimension not in dimensions:
        dimensions.append(cohort.dimension)
    of_dimension = dimensions.index(cohort.dimension) + 1
    nth = sum(each.dimension == cohort.dimension for each in known) + 1
    return 1 / (of_dimension * (of_dimension + 1) * nth * (nth + 1))


def _next(rule: Rule, before: CohortMemory, counts: CohortCounts, *, at: datetime, burst_size: float) -> CohortMemory:
    """Weigh what is new, once a window and whenever something is bad: good outcomes alone can wait, and cost a row."""
    increment = counts.candidate.since(before.seen.candidate)
    window = int(at.timestamp() // rule.window_seconds)
    waits = not increment.bad and window == before.evidence.window and before.evidence.log_e < QUIET_LOG_E
    if waits or counts == before.seen:
        return before
    test, control = rule_test(rule, burst_size=burst_size), counts.control.since(before.seen.control)
    return CohortMemory(
        before.weight,
        counts,
        step(test, before.evidence, increment, at=at),
        before.control + control,
        before.recent.add(control, window),
    )


def _finding(rule: Rule, cohort: Cohort, memory: CohortMemory, budget: ErrorBudget, whole: Counts) -> CohortFinding:
    counts, own = memory.evidence.counts, budget.of_cohort(memory.weight)
    return CohortFinding(
        cohort,
        memory.evidence,
        own,
        _attribution(rule, memory),
        memory.seen.accounts,
        memory.seen.at_most,
        explains=_explains(counts, whole),
        lingers=memory.evidence.log_e >= own.hold_log_e - max(0.0, budget.hold_log_e - QUIET_LOG_E),
    )


def _explains(counts: Counts, whole: Counts) -> bool:
    rest = Counts(max(0, whole.bad - counts.bad), max(0, whole.total - counts.total))
    is_most = counts.bad >= MOST * whole.bad and counts.rate >= TIMES_OTHERS * rest.rate
    return is_most and (not rest.total or counts.rate * rest.total >= EXPECTED_MIN)


def _attribution(rule: Rule, memory: CohortMemory) -> Attribution:
    """Name the engine at fault: compared answers blame the candidate, the rest is held against the control's counts.

    Those of the attempt may blame the candidate; those of late may excuse it.
    """
    if rule.compare is not Compare.ABSOLUTE:
        return Attribution.CANDIDATE_ONLY
    evidence, recent = memory.evidence, memory.recent.counts
    whole = _by_unpaired_requests(Arms(evidence.counts, memory.control))
    if whole is not Attribution.CANDIDATE_ONLY:
        return whole
    lately = Arms(Counts(evidence.window_bad, evidence.window_total), recent)
    # Of what was served no pair exists: a control that fails at all lately is no place to go back to.
    if rule.metric.served_only and recent.rate > rule.threshold:
        return Attribution.CONTROL if lately.control_worse else Attribution.SHARED
    found = _by_unpaired_requests(lately)
    return found if recent.bad and found is not Attribution.UNKNOWN else whole


def _by_unpaired_requests(arms: Arms) -> Attribution:
    if arms.control_worse:
        return Attribution.CONTROL
    if FAILS_TIMES * arms.control.rate >= arms.candidate.rate:
        return Attribution.SHARED
    return Attribution.CANDIDATE_ONLY if arms.log_candidate_worse >= CANDIDATE_WORSE_LOG_E else Attribution.UNKNOWN


def _order(finding: CohortFinding) -> tuple[bool, bool, bool, float, Cohort]:
    """Rank what may act first, and of those the one that has most bad outcomes and hardly a good one."""
    counts = finding.evidence.counts
    acts = not finding.only_notifies
    certain = counts.bad * counts.rate
    return acts and finding.breached, acts and finding.suspect, finding.suspect, certain, finding.cohort
