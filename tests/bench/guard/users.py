"""Alerts per account: users with a bad outcome in an hour among all users of that hour, as the product counts them."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from math import exp, inf

import numpy as np

from alerts.analysis.safety_evidence import certificate
from alerts.definitions import parser
from control_plane.platform.observability.account_failures import SHARE_HOURS, countable
from control_plane.signal_counts import Counts
from tests.bench.guard import tables
from tests.bench.guard.ours import START, Guard, SimulatedAlert
from tests.bench.guard.report import ALPHAS, Goal, Section, seldom
from tests.bench.guard.sampling import Sampler

ALERT = "alerts: {credit_consumption_failure: {threshold: 1%, window: 1h, severity: critical, per: account}}"


@dataclass(frozen=True, slots=True)
class Users:
    """Users who act at random, of whom a share fails always and the others now and then, for some days."""

    number: int
    per_hour: float
    """Operations of one user."""
    failing_share: float
    rate: float
    """Failures of the others' operations."""
    days: float


@dataclass(frozen=True, slots=True)
class Cell:
    """Users under the alert, and whether they must be seen; else they must not."""

    name: str
    users: Users
    caught: bool


def of_hours(share: float, per_hour: float) -> float:
    """Return the failures per operation at which this share of a user's hours is bad."""
    return share * (1 - exp(-per_hour)) / per_hour


CELLS = (
    Cell("1,000 users x 60 an hour, 2% of users fail always", Users(1000, 60, 0.02, 0, 1), caught=True),
    Cell("1,000 users x 6 an hour, 2% of users fail always", Users(1000, 6, 0.02, 0, 3), caught=True),
    Cell("20 tenants x 300 an hour, v2 fails 2% of all", Users(20, 300, 0, 0.02, 1), caught=True),
    Cell("20 tenants x 300 an hour, v2 fails 0.1% of all", Users(20, 300, 0, 0.001, 1), caught=True),
    Cell("1,000 users x 6 an hour, half the threshold", Users(1000, 6, 0, of_hours(0.005, 6), 7), caught=False),
    Cell("20 tenants x 300 an hour, half the threshold", Users(20, 300, 0, of_hours(0.005, 300), 7), caught=False),
    Cell("1,000 users x 6 an hour, at the threshold", Users(1000, 6, 0, of_hours(0.01, 6), 7), caught=False),
    Cell("20 tenants x 300 an hour, at the threshold", Users(20, 300, 0, of_hours(0.01, 300), 7), caught=False),
    Cell("1,000 users x 6 an hour, 0.5% of users fail always", Users(1000, 6, 0.005, 0, 7), caught=False),
    Cell("20 tenants x 300 an hour, one of them fails always", Users(20, 300, 0.05, 0, 7), caught=False),
)


@dataclass(slots=True)
class Run:
    """The outcome of one run."""

    failing: float = inf
    """Users with a bad hour until the rollback; inf for none."""
    minutes: float = inf
    certified: bool = False


@dataclass(slots=True)
class HourlyCounts:
    """The counts so far, and each user's share, which lasts four weeks."""

    bad: int = 0
    total: int = 0
    counted: Counter[str] = field(default_factory=Counter)


def section(sampler: Sampler) -> Section:
    """Print what becomes of each kind of users."""
    rows, goals = [], []
    for cell in CELLS:
        drawn = sampler if cell.caught else sampler.rare
        runs: list[Run] = drawn.each(run, SimulatedAlert(parser.parse(ALERT)[0], ALPHAS[1:2], 0), cell.users)
        rolled, certified = sum(each.minutes < inf for each in runs), sum(each.certified for each in runs)
        delays = [each.failing for each in runs], [each.minutes for each in runs]
        rows.append(
            [
                cell.name,
                tables.share(rolled, drawn.runs),
                *map(tables.median_and_p90, delays),
                tables.share(certified, drawn.runs),
            ]
        )
        if cell.caught:
            seen, met = tables.share(rolled, drawn.runs), rolled >= 0.9 * drawn.runs
            goals.append(Goal(f"rolled back per account: {cell.name}", ">= 90%", seen, met))
        else:
            goals.append(seldom(f"rolled back falsely per account: {cell.name}", 0.01, rolled, drawn.runs))
    head = ["users", "rolled back", "users with a bad hour until then", "minutes until then", "certified before"]
    text = (
        "`credit_consumption_failure` at 1% of the users of an hour, the shipped alpha, looked at each minute. A share "
        "of the threshold is one of the hours of users."
    )
    return Section("Accounts as the unit", f"{text}\n\n{tables.table(head, rows)}", tuple(goals))


def run(rng: np.random.Generator, watched: SimulatedAlert, users: Users) -> Run:
    """Return what becomes of one run."""
    guard, found, hours = Guard(watched.rule, watched.alphas), Run(), HourlyCounts()
    for hour in range(round(users.days * 24)):
        if hour % SHARE_HOURS == 0:
            hours.counted = Counter()
        for minute, came, turned in _minutes(*_first(rng, users)):
            counting = countable(hours.counted, {str(user): 1 for user in turned})
            hours.counted.update(counting)
            hours.bad, hours.total = hours.bad + len(turned), hours.total + came
            guard.see(START + timedelta(hours=hour, minutes=minute), Counts(len(counting), came))
            if guard.finished:
                found.failing, found.minutes = hours.bad, hour * 60 + minute + 1
                return found
        found.certified = found.certified or certificate(watched.rule, Counts(hours.bad, hours.total)).granted
    return found


def _first(rng: np.random.Generator, users: Users) -> tuple[np.ndarray, np.ndarray]:
    """Return the minute in which each user came first in an hour, and that of the first failure; 60 for none."""
    good = rng.exponential(60 / (users.per_hour * (1 - users.rate)), users.number)
    bad = rng.exponential(60 / (users.per_hour * users.rate), users.number) if users.rate else np.full_like(good, 60)
    failing = round(users.failing_share * users.number)
    bad[:failing] = good[:failing]
    return np.minimum(np.minimum(good, bad), 60), np.minimum(bad, 60)


def _minutes(came: np.ndarray, bad: np.ndarray) -> list[tuple[int, int, list[int]]]:
    """Return each minute in which somebody failed first, who did, and how many came since the one before; and the last.

    In between only good accounts come, and evidence falls.
    """
    arrivals = np.bincount(came[came < 60].astype(int), minlength=60)
    turned = np.flatnonzero(bad < 60)
    minutes = sorted({*bad[turned].astype(int).tolist(), 59})
    begun, found = 0, []
    for minute in minutes:
        users = turned[bad[turned].astype(int) == minute].tolist()
        found.append((minute, int(arrivals[begun : minute + 1].sum()), users))
        begun = minute + 1
    return found
