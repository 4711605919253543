"""How many requests meet a fault before it is rolled back, or are needed to show that there is none."""

from collections.abc import Iterator
from math import inf, log

import numpy as np

from alerts.analysis.safety_test import clean_outcomes_needed
from alerts.analysis.sequential_test import failures_needed, rate_test
from control_plane.signal_counts import Counts
from tests.bench.guard import ours, peers, tables
from tests.bench.guard.draws import DAY_SECONDS, TICK_SECONDS, Traffic, ticks
from tests.bench.guard.ours import FAULT_DAYS, SimulatedAlert
from tests.bench.guard.report import ALPHAS, PER_MINUTE, SHIPPED, Goal, Section, at_most, one_alert, this_guard, times
from tests.bench.guard.sampling import Sampler

FAULTS = (0.02, 0.05, 0.2)
CELLS = ((0.0, 0.02), (0.0, 0.05), (0.0, 0.2), (0.0, 1.0), (1.0, 0.02), (1.0, 0.05), (1.0, 0.2))
HORIZON = 20_000
OUTCOMES = (5, 10, 20, 50, 100, 200, 500, 1000, 5000)
Cell = tuple[float, float]


def detection(sampler: Sampler) -> Section:
    """Requests from the fault to the rollback, at once and after a healthy day, with every method."""
    seen = {cell: _ours(sampler, cell) for cell in CELLS}
    columns = [
        _peers(sampler, cell)
        | {this_guard(alpha): tables.median_and_p90(delays) for alpha, delays in seen[cell].items()}
        for cell in CELLS
    ]
    head = ["method", *(f"{'after a day: ' if days else ''}{times(rate)}" for days, rate in CELLS)]
    rows = [[name, *(column[name] for column in columns)] for name in columns[0]]
    text = (
        f"Threshold 1%, window 5 minutes, {PER_MINUTE:g} requests a minute; median [95% interval] / p90 of the "
        "requests that met the fault. On the right, 24 hours at a tenth of the threshold came first; runs that a "
        "method had rolled back by then are left out for it."
    )
    return Section("Requests until a rollback", f"{text}\n\n{tables.table(head, rows)}", tuple(_goals(seen)))


def mischarged(sampler: Sampler) -> Section:
    """Operations that v2 charges differently from legacy."""
    variance, drift = (
        next(rule for rule in SHIPPED if rule.name == name) for name in ("credit_variance", "credit_drift")
    )
    faults = (
        ("1% mischarged, by credit_variance", variance, 0.01, 360),
        ("10% mischarged, by credit_variance", variance, 0.1, 20),
        ("7.5% double charged, by credit_drift", drift, 0.075, None),
        ("10% double charged or every charge off by 10%, by credit_drift", drift, 0.1, None),
        ("25% double charged, by credit_drift", drift, 0.25, None),
    )
    rows, goals = [], []
    for name, rule, bad_rate, wanted in faults:
        runs = sampler.each(ours.detection, SimulatedAlert(rule, ALPHAS, PER_MINUTE), bad_rate, 0.0)
        delays = [[run[index] for run in runs] for index in range(len(ALPHAS))]
        rows.append([name, *map(tables.median_and_p90, delays)])
        if wanted:
            goals.append(at_most(f"median requests, {name}, alpha 1%", wanted, delays[0], 0.5))
    text = (
        f"Both engines answer each request. `credit_variance` allows {variance.threshold_sentence} of them to differ "
        f"without a declared reason, `credit_drift` a mean difference of {drift.threshold_sentence}."
    )
    table = tables.table(["fault", *map(this_guard, ALPHAS)], rows)
    return Section("Mischarged operations", f"{text}\n\n{table}", tuple(goals))


def safety(sampler: Sampler) -> Section:
    """Requests until the certificate that an advance needs."""
    waits = {factor: sampler.each(ours.certified_after, 0.01, factor * 0.01, HORIZON) for factor in (0, 0.1, 0.2, 0.5)}
    rows = [[f"{factor:g}x", tables.median_and_p90(wait)] for factor, wait in waits.items()]
    wrong = sum(wait < inf for wait in sampler.each(ours.certified_after, 0.01, 0.01, HORIZON))
    rows.append([f"1x, within {HORIZON:,}", f"{tables.share(wrong, sampler.runs)} certified wrongly"])
    clean = clean_outcomes_needed(0.01, Counts())
    goal = Goal("clean requests for the certificate at 1%", "367", str(clean), clean == 367)
    text = "Threshold 1%. By design at most 5% of releases whose rate is at the threshold are ever certified."
    table = tables.table(["true rate", "requests until the certificate"], rows)
    return Section("Evidence of safety", f"{text}\n\n{table}", (goal,))


def failures() -> Section:
    """Report the number of failures that it takes to roll back."""
    bet = rate_test(0.01, window_seconds=300)
    needed = {alpha: [failures_needed(bet, total, log_bar=-log(alpha)) for total in OUTCOMES] for alpha in ALPHAS}
    rows = [[this_guard(alpha), *map(str, counts)] for alpha, counts in needed.items()]
    twenty = needed[0.01][OUTCOMES.index(20)]
    goal = Goal("failures among 20 requests that roll back, alpha 1%", "4", str(twenty), twenty == 4)
    table = tables.table(["requests", *map(str, OUTCOMES)], rows)
    return Section("How many errors does it take", f"Threshold 1%, in the first window.\n\n{table}", (goal,))


def _ours(sampler: Sampler, cell: Cell) -> dict[float, list[float]]:
    healthy_days, bad_rate = cell
    runs = sampler.each(ours.detection, one_alert(PER_MINUTE), bad_rate, healthy_days)
    return {alpha: [run[index] for run in runs] for index, alpha in enumerate(ALPHAS)}


def _peers(sampler: Sampler, cell: Cell) -> dict[str, str]:
    batches = sampler.batches(_peer_delays, cell)
    return {
        name: tables.median_and_p90([delay for batch in batches for delay in batch[index][1]])
        for index, name in enumerate(peers.METHODS)
    }


def _peer_delays(rng: np.random.Generator, runs: int, cell: Cell) -> list[tuple[str, list[float]]]:
    healthy_days, bad_rate = cell
    healthy = ticks(rng, Traffic(PER_MINUTE, 0.001, healthy_days * DAY_SECONDS), runs)
    faulty = ticks(rng, Traffic(PER_MINUTE, bad_rate, FAULT_DAYS * DAY_SECONDS), runs)
    bad, total = (np.concatenate(parts, axis=1) for parts in zip(healthy, faulty, strict=True))
    begins, met = int(healthy_days * DAY_SECONDS / TICK_SECONDS), np.cumsum(faulty[1], axis=1)
    return [(name, _met(method(bad, total, 0.01), met, begins)) for name, method in peers.METHODS.items()]


def _met(rolled_back: np.ndarray, met: np.ndarray, begins: int) -> list[float]:
    """Requests of the fault until the rollback; runs that were rolled back before it are left out."""
    return [
        float(met[run, tick - begins]) if tick >= 0 else inf
        for run, tick in enumerate(rolled_back.tolist())
        if not 0 <= tick < begins
    ]


def _goals(seen: dict[Cell, dict[float, list[float]]]) -> Iterator[Goal]:
    for rate, median, p90 in ((0.02, 1600, 3200), (0.05, 170, 350), (0.2, 18, 38), (1.0, 2, 2)):
        yield at_most(f"median requests, {times(rate)}, alpha 1%", median, seen[0.0, rate][0.01], 0.5)
        yield at_most(f"p90 requests, {times(rate)}, alpha 1%", p90, seen[0.0, rate][0.01], 0.9)
    for rate, median in zip(FAULTS, (3700, 380, 55), strict=True):
        yield at_most(f"median requests after a day, {times(rate)}, alpha 1%", median, seen[1.0, rate][0.01], 0.5)
    for rate, median in zip(FAULTS, (2300, 235, 24), strict=True):
        yield at_most(f"median requests, {times(rate)}, alpha 0.1%", median, seen[0.0, rate][0.001], 0.5)
