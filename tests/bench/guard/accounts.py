"""Failures that depend on the account: busy tenants, users for whom everything fails, and one broken account."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from math import inf

import numpy as np

from alerts.analysis.safety_evidence import certificate
from alerts.definitions import parser
from control_plane.platform.observability.account_failures import WINDOW_SECONDS, countable
from control_plane.signal_counts import Counts
from tests.bench.guard import tables
from tests.bench.guard.ours import START, Guard, SimulatedAlert
from tests.bench.guard.report import ALPHAS, Goal, Section, seldom
from tests.bench.guard.sampling import Sampler

FAILURE = "alerts: {credit_consumption_failure: {threshold: 1%, window: 5m, severity: critical}}"
VARIANCE = "alerts: {credit_variance: {threshold: 0.1%, window: 5m, severity: critical}}"
DRIFT = "alerts: {credit_drift: {threshold: 5%, window: 5m, severity: critical}}"
NEVER_CERTIFIED = 0.01


@dataclass(frozen=True, slots=True)
class Population:
    """Accounts that act often, of which a share fails always and the others now and then, for some days."""

    accounts: int
    per_hour: float
    """Operations of one account."""
    failing_share: float
    """Of the accounts, those for whom everything fails."""
    rate: float
    """Failures of the others' operations."""
    days: float


@dataclass(frozen=True, slots=True)
class Cell:
    """A population under one alert, and what must come of it."""

    name: str
    alert: str
    population: Population
    caught: bool
    """Whether it must be rolled back; else it must not."""


CELLS = (
    Cell("20 tenants x 300 an hour, all fail 2%", FAILURE, Population(20, 300, 0, 0.02, 2), caught=True),
    Cell("20 tenants x 300 an hour, all fail 5%", FAILURE, Population(20, 300, 0, 0.05, 2), caught=True),
    Cell("20 tenants x 300 an hour, all fail 0.5%", FAILURE, Population(20, 300, 0, 0.005, 7), caught=False),
    Cell("1,000 users x 60 an hour, 2% of users fail always", FAILURE, Population(1000, 60, 0.02, 0, 1), caught=True),
    Cell("1,000 users x 6 an hour, 2% of users fail always", FAILURE, Population(1000, 6, 0.02, 0, 3), caught=True),
    Cell(
        "1,000 users x 60 an hour, one account fails always",
        FAILURE,
        Population(1000, 60, 0.001, 0.001, 1),
        caught=False,
    ),
    Cell(
        "20 tenants x 300 an hour, one of them fails always", FAILURE, Population(20, 300, 0.05, 0.001, 7), caught=False
    ),
    Cell("1,000 users x 6 an hour, 0.5% mischarged always", VARIANCE, Population(1000, 6, 0.005, 0, 1), caught=True),
    Cell("8 beta users x 30 an hour, charges differ by 25%", DRIFT, Population(8, 30, 0, 0.25, 1), caught=True),
    Cell("8 beta users x 30 an hour, charges differ by 4%", DRIFT, Population(8, 30, 0, 0.04, 7), caught=False),
)


@dataclass(slots=True)
class Run:
    """The outcome of one run."""

    failed_before: float = inf
    """Failures until the rollback; inf for none."""
    minutes: float = inf
    certified: bool = False
    """Shown to be below the threshold at any look before it was rolled back."""
    hour: int = -1
    counted: Counter[str] = field(default_factory=Counter)


def section(sampler: Sampler) -> Section:
    """Print what becomes of each population."""
    sampler = sampler.rare
    rows, goals = [], []
    for cell in CELLS:
        watched = SimulatedAlert(parser.parse(cell.alert)[0], ALPHAS[1:2], 0)
        runs: list[Run] = sampler.each(run, watched, cell.population)
        rolled = sum(each.minutes < inf for each in runs)
        certified = sum(each.certified for each in runs)
        delays = [each.failed_before for each in runs], [each.minutes for each in runs]
        rows.append(
            [
                cell.name,
                tables.share(rolled, sampler.runs),
                *map(tables.median_and_p90, delays),
                tables.share(certified, sampler.runs),
            ]
        )
        if cell.caught:
            goals.append(
                Goal(
                    f"rolled back: {cell.name}",
                    ">= 90%",
                    tables.share(rolled, sampler.runs),
                    rolled >= 0.9 * sampler.runs,
                )
            )
            if cell.alert != DRIFT:
                goals.append(seldom(f"certified: {cell.name}", NEVER_CERTIFIED, certified, sampler.runs))
        else:
            goals.append(seldom(f"rolled back falsely: {cell.name}", 0.01, rolled, sampler.runs))
    head = ["accounts", "rolled back", "failures until then", "minutes until then", "certified before"]
    text = "Each minute as the product counts it: an account's failures up to its share, the shipped alpha."
    return Section("Accounts", f"{text}\n\n{tables.table(head, rows)}", tuple(goals))


def run(rng: np.random.Generator, watched: SimulatedAlert, population: Population) -> Run:
    """Return what becomes of one run, looked at each minute."""
    guard, found, everything = Guard(watched.rule, watched.alphas), Run(), Counts()
    failing = round(population.failing_share * population.accounts)
    for minute in range(int(population.days * 1440)):
        counts, bad, total = _minute(rng, population, failing, found, minute)
        everything += Counts(bad, total)
        guard.see(START + timedelta(minutes=minute), counts)
        if guard.finished:
            found.failed_before, found.minutes = everything.bad, minute + 1
            break
        found.certified = found.certified or (minute % 10 == 0 and certificate(watched.rule, everything).granted)
    return found


def _minute(
    rng: np.random.Generator, population: Population, failing: int, found: Run, minute: int
) -> tuple[Counts, int, int]:
    """Return what counts of one minute, and all failures and operations in it."""
    operations = rng.poisson(population.per_hour / 60, population.accounts)
    bad = rng.binomial(operations, population.rate)
    bad[:failing] = operations[:failing]
    hour = minute * 60 // WINDOW_SECONDS
    if hour != found.hour:
        found.hour, found.counted = hour, Counter()
    failures = {str(index): int(bad[index]) for index in np.flatnonzero(bad).tolist()}
    counting = countable(found.counted, failures)
    found.counted.update(counting)
    total, all_bad, some = int(operations.sum()), int(bad.sum()), sum(counting.values())
    return Counts(some, total - all_bad + some), all_bad, total
