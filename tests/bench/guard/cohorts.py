"""Cohorts: that a healthy release is left alone with all of them watched, and how soon a fault in one of them shows."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from math import inf

import numpy as np

from alerts.analysis.agreement import Case
from alerts.analysis.cohorts import CohortCounts, CohortMemory, cohort_text, most_certain, update
from alerts.analysis.evidence import Evidence
from alerts.analysis.judge_inputs import JudgeInputs
from alerts.analysis.rules import Action, error_budgets, rule_test
from alerts.analysis.sequential_test import step
from alerts.analysis.verdicts import Status, Verdict
from control_plane.cohort_names import FAILED_BEFORE, Cohort
from control_plane.platform.observability.account_failures import WINDOW_SECONDS, countable
from control_plane.signal_counts import Counts
from tests.bench.guard import tables
from tests.bench.guard.ours import START
from tests.bench.guard.report import SHIPPED, Goal, Section, seldom
from tests.bench.guard.sampling import Sampler

ALERT = next(rule for rule in SHIPPED if rule.name == "credit_consumption_failure")
BUDGET = error_budgets(SHIPPED)[ALERT.name]
PLANS = {"free": 0.6, "starter": 0.05, "pro": 0.25, "plus": 0.09, "custom": 0.01}
ROAST_SHARE, NEAR_SHARE = 0.1, 0.02
AGAIN = Cohort(FAILED_BEFORE)
NEAR = Cohort("near the limit")
NAMED_WITHIN_MINUTES = 10

Fails = Callable[["Draw"], np.ndarray]


@dataclass(frozen=True, slots=True)
class Draw:
    """The operations of one minute."""

    accounts: np.ndarray
    plans: np.ndarray
    roast: np.ndarray
    near: np.ndarray


@dataclass(frozen=True, slots=True)
class Cell:
    """Traffic, the rate of failures everywhere, and whom v2 fails always."""

    name: str
    per_minute: float
    rate: float
    fails: str = ""
    cohort: Cohort | None = None
    minutes: int = 7 * 1440
    every: int = 1
    """Minutes between two looks."""


def of_plan(name: str, draw: Draw) -> np.ndarray:
    """Fail one plan."""
    found: np.ndarray = draw.plans == list(PLANS).index(name)
    return found


def of_kind(draw: Draw) -> np.ndarray:
    """Fail one kind."""
    return draw.roast


def near_limit(draw: Draw) -> np.ndarray:
    """Fail whoever is near a limit."""
    return draw.near


def of_accounts(draw: Draw) -> np.ndarray:
    """Fail 2 % of the accounts."""
    return draw.accounts < 20


FAULTS: Mapping[str, Fails] = {
    "custom": partial(of_plan, "custom"),
    "starter": partial(of_plan, "starter"),
    "kind": of_kind,
    "near": near_limit,
    "accounts": of_accounts,
}
HEALTHY = tuple(
    Cell(f"{factor:g}x, {per_minute:g}/min", per_minute, factor * ALERT.threshold, every=5)
    for per_minute in (4.0, 100.0)
    for factor in (0.1, 0.5, 1.0)
)
DAY = 1440
BROKEN = (
    Cell("2% of 1,000 users always, 1,000/min", 1000, 0, "accounts", AGAIN, DAY),
    Cell("2% of 1,000 users always, 100/min", 100, 0, "accounts", AGAIN, DAY),
    Cell("plan custom (1%) always, 100/min", 100, 0.001, "custom", Cohort("plan", "custom"), DAY),
    Cell("plan starter (5%) always, 100/min", 100, 0.001, "starter", Cohort("plan", "starter"), DAY),
    Cell("kind roast (10%) always, 100/min", 100, 0.001, "kind", Cohort("kind", "roast"), DAY),
    Cell("near the limit (2%) always, 100/min", 100, 0.001, "near", NEAR, DAY),
    Cell("plan starter (5%) always, 4/min", 4, 0.001, "starter", Cohort("plan", "starter"), 7 * DAY),
)

SOON = (BROKEN[0], *BROKEN[3:6])
"""Those of which enough comes within ten minutes."""


@dataclass(slots=True)
class Run:
    """The outcome of one run."""

    held: float = inf
    """Minutes until the first hold or rollback; inf for neither."""
    rolled_back: bool = False
    named: float = inf
    """Minutes until the cohort at fault was named."""
    failures: int = 0
    """Of the cohort, by then."""


@dataclass(slots=True)
class AlertWithCohorts:
    """The alert with all of its cohorts, as the product counts them."""

    rng: np.random.Generator
    cell: Cell
    counts: dict[Cohort, CohortCounts] = field(default_factory=dict)
    memories: Mapping[Cohort, CohortMemory] = field(default_factory=dict)
    evidence: Evidence = field(default_factory=Evidence)
    verdict: Verdict | None = None
    hour: int = -1
    counted: dict[Cohort | None, Counter[str]] = field(default_factory=dict)
    failed: set[int] = field(default_factory=set)

    def tick(self, number: int) -> Verdict:
        """Draw and judge what comes from this minute on until the next look."""
        if number * 60 // WINDOW_SECONDS != self.hour:
            self.hour, self.counted, self.failed = number * 60 // WINDOW_SECONDS, {}, set()
        draw = _draw(self.rng, self.cell.per_minute * self.cell.every)
        bad = self.rng.random(len(draw.accounts)) < self.cell.rate
        if self.cell.fails:
            bad |= FAULTS[self.cell.fails](draw)
        again = np.isin(draw.accounts, list(self.failed)) if self.failed else np.zeros(len(bad), dtype=bool)
        self.failed.update(draw.accounts[bad].tolist())
        whole = self._count(None, draw.accounts, bad)
        for cohort, mask in _cohorts(draw, again):
            if mask.any():
                self._add(cohort, self._count(cohort, draw.accounts[mask], bad[mask]))
        return self._judge(number, whole)

    def _count(self, cohort: Cohort | None, accounts: np.ndarray, bad: np.ndarray) -> Counts:
        total = len(bad)
        if not bad.any():
            return Counts(0, total)
        known = self.counted.setdefault(cohort, Counter())
        found = countable(known, Counter(map(str, accounts[bad].tolist())))
        known.update(found)
        some = sum(found.values())
        return Counts(some, total - int(bad.sum()) + some)

    def _add(self, cohort: Cohort, counts: Counts) -> None:
        before = self.counts.get(cohort, CohortCounts())
        at_most = Action.HOLD if cohort == AGAIN else Action.ROLLBACK
        accounts = len(self.counted.get(cohort, ())) if counts.bad else before.accounts
        legacy = before.control + Counts(0, counts.total)
        self.counts[cohort] = CohortCounts(before.candidate + counts, legacy, accounts, at_most)

    def _judge(self, number: int, whole: Counts) -> Verdict:
        at = START + timedelta(minutes=number)
        self.evidence = step(rule_test(ALERT), self.evidence, whole, at=at)
        self.memories = update(ALERT, self.memories, self.counts, at=at, burst_size=1.0, begins=False)
        cohort = most_certain(ALERT, self.memories, BUDGET, self.evidence.counts)
        inputs = JudgeInputs(exposed=True, window=whole, cohort=cohort)
        self.verdict = Case(ALERT, self.evidence, inputs, BUDGET, self.verdict).judge(at)
        return self.verdict


def section(sampler: Sampler) -> Section:
    """Print how often a healthy release is stopped, and how soon a fault of a cohort is named."""
    rows, goals = [], []
    for cell in HEALTHY:
        found: list[Run] = sampler.each(run, cell)
        held, back = sum(each.held < inf for each in found), sum(each.rolled_back for each in found)
        rows.append([cell.name, tables.share(held, sampler.runs), tables.share(back, sampler.runs)])
        goals.append(seldom(f"rolled back with cohorts on, {cell.name}", BUDGET_OF_ALL[1], back, sampler.runs))
        goals.append(seldom(f"held with cohorts on, {cell.name}", BUDGET_OF_ALL[0], held, sampler.runs))
    healthy = tables.table(["healthy for 7 days, one alert", "held", "rolled back"], rows)
    named, more = _named(sampler)
    text = (
        "The alert `credit_consumption_failure` as shipped, with its cohorts: five plans of 1 to 60% of the traffic, "
        "two kinds, near the limit (2%), accounts that had failed before; 1,000 users, failures admitted by account as "
        "the product counts them. Healthy traffic is looked at every five minutes, a fault every minute. The budget "
        f"allows wrong holds in {BUDGET_OF_ALL[0]:.2%} of attempts and wrong rollbacks in {BUDGET_OF_ALL[1]:.2%}."
    )
    return Section("Cohorts", f"{text}\n\n{healthy}\n{named}", (*goals, *more))


BUDGET_OF_ALL = tuple((each or 0.0) / 0.9 for each in (BUDGET.hold, BUDGET.rollback))


def _named(sampler: Sampler) -> tuple[str, list[Goal]]:
    rows, goals = [], []
    for cell in BROKEN:
        found: list[Run] = sampler.each(run, cell)
        minutes = [each.named for each in found]
        rows.append(
            [
                cell.name,
                tables.median_and_p90(minutes),
                tables.median_and_p90([each.failures if each.named < inf else inf for each in found]),
                tables.median_and_p90([each.held for each in found]),
            ]
        )
        if cell in SOON:
            within = sum(each <= NAMED_WITHIN_MINUTES for each in minutes)
            name = f"named within {NAMED_WITHIN_MINUTES} minutes: {cell.name}"
            goals.append(Goal(name, ">= 90%", tables.share(within, sampler.runs), within >= 0.9 * sampler.runs))
    head = ["v2 fails", "minutes until it is named", "failures by then", "minutes until a hold or rollback"]
    return tables.table(head, rows), goals


def run(rng: np.random.Generator, cell: Cell) -> Run:
    """Watch one week, or one fault until it is named and acted on."""
    watch, found = AlertWithCohorts(rng, cell), Run()
    for minute in range(0, cell.minutes, cell.every):
        verdict = watch.tick(minute)
        if verdict.status in (Status.HOLD, Status.ROLLBACK):
            found.held = min(found.held, minute + 1)
            found.rolled_back = found.rolled_back or verdict.status is Status.ROLLBACK
        if cell.cohort and cohort_text(cell.cohort) in verdict.cohort and found.named == inf:
            found.named = minute + 1
            found.failures = watch.counts[cell.cohort].candidate.bad
        if (found.rolled_back and cell.cohort is None) or (found.held < inf and found.named < inf):
            break
        if cell.cohort is None and found.held < inf and minute - found.held > DAY:
            break  # held for a day: no rollback is to be expected of what is let go by itself
    return found


def _draw(rng: np.random.Generator, per_minute: float) -> Draw:
    number = int(rng.poisson(per_minute))
    accounts = rng.integers(0, 1000, number)
    # A user has one plan, and near the limit it is always the same ones.
    shares = np.cumsum(list(PLANS.values()))
    places = (accounts * 7919 % 1000) / 1000
    plans = np.searchsorted(shares, places, side="right")
    near = (accounts * 104729 % 1000) / 1000 < NEAR_SHARE
    return Draw(accounts, plans, rng.random(number) < ROAST_SHARE, near)


def _cohorts(draw: Draw, again: np.ndarray) -> Iterator[tuple[Cohort, np.ndarray]]:
    for index, name in enumerate(PLANS):
        yield Cohort("plan", name), draw.plans == index
    yield Cohort("kind", "roast"), draw.roast
    yield Cohort("kind", "analysis"), ~draw.roast
    yield NEAR, draw.near
    yield AGAIN, again
