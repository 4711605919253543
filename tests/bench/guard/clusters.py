"""Failures in bursts: what other guards and this one make of a release whose mean rate is below its threshold."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from math import inf

import numpy as np

from alerts.analysis.bursts import BurstHistory, Bursts, RunHistory, add_outcomes, learn
from alerts.analysis.judge_inputs import JudgeInputs
from control_plane.signal_counts import Counts
from tests.bench.guard import peers, tables
from tests.bench.guard.draws import DAY_SECONDS, TICK_SECONDS
from tests.bench.guard.ours import EXPOSED, START, Alarm, Guard, SimulatedAlert
from tests.bench.guard.report import PER_MINUTE, Goal, Section, fired, seldom, shipped_alert, times
from tests.bench.guard.sampling import Sampler

SIZES = (1.0, 1.5, 2.0, 3.0, 5.0)
PHASE_DAYS, LEARNING_DAYS = 7.0, 7.0
"""The guide's first week is for development, in which both engines answer and nobody is exposed."""
FAULTS = (0.02, 0.05, 0.2, 1.0)
LOOK_EVERY = 5


def section(sampler: Sampler) -> Section:
    """Print false rollbacks of bursts, and what it costs in detection to allow for them."""
    false, goals = _false_rollbacks(sampler)
    delays, more = _delays(sampler)
    text = (
        "Bursts of failures begin at random; each fails as many consecutive requests of different users as a geometric "
        f"number of the mean says. Their size is learnt from {LEARNING_DAYS:g} days of such traffic by both "
        "engines. Rates are the mean of all requests; threshold 1%, window 5 minutes, the shipped alpha."
    )
    return Section("Failures in bursts", f"{text}\n\n{false}\n{delays}", (*goals, *more))


def _false_rollbacks(sampler: Sampler) -> tuple[str, list[Goal]]:
    rows, goals = [], []
    for per_minute in (4.0, PER_MINUTE):
        for factor in (0.1, 0.5):
            for size in SIZES:
                alarms = sampler.rare.each(false_alarm, shipped_alert(per_minute), factor, size)
                batches = sampler.batches(_peer_alarms, per_minute, factor, size)
                others = [sum(hits) for hits in zip(*batches, strict=True)]
                shares = [tables.share(count, sampler.runs) for count in others]
                rows.append(
                    [f"{per_minute:g}/min, {factor:g}x", f"{size:g}", tables.share(fired(alarms), len(alarms)), *shares]
                )
                name = f"false rollback in 7 days, bursts of {size:g}, {per_minute:g}/min, {factor:g}x"
                goals.append(seldom(name, 0.01, fired(alarms), len(alarms)))
    return tables.table(["traffic and rate", "mean size", "this guard", *peers.METHODS], rows), goals


def _delays(sampler: Sampler) -> tuple[str, list[Goal]]:
    rows: list[list[str]] = []
    goals: list[Goal] = []
    plain: dict[float, float] = {}
    for size in SIZES:
        for kind, burst in (("failures lie apart", 1.0), ("failures in such bursts", size)):
            if size == 1 and kind != "failures lie apart":
                continue
            delays = {rate: sampler.each(delay, shipped_alert(PER_MINUTE), rate, size, burst) for rate in FAULTS}
            rows.append([f"{size:g}", kind, *(tables.median_and_p90(delays[rate]) for rate in FAULTS)])
            for rate in (0.05, 0.2):
                seen = tables.quantile(delays[rate], 0.5)
                plain.setdefault(rate, seen)
                if kind == "failures lie apart" and size > 1:
                    name = f"median requests, {times(rate)}, in traffic with bursts of {size:g}"
                    wanted = 2 * plain[rate]
                    goals.append(Goal(name, f"<= {wanted:,.0f}", f"{seen:,.0f}", seen <= wanted))
    head = ["bursts in healthy traffic", "the fault", *map(times, FAULTS)]
    return f"Requests from the fault to the rollback, median / p90:\n\n{tables.table(head, rows)}", goals


def false_alarm(rng: np.random.Generator, watched: SimulatedAlert, factor: float, size: float) -> Alarm:
    """Return what becomes of a phase at `factor` times the threshold, after learning from the same traffic."""
    guard = _learnt(rng, watched, factor * watched.rule.threshold, size)
    total = int(PHASE_DAYS * DAY_SECONDS / 60 * watched.per_minute)
    _watch(guard, watched, outcomes(rng, factor * watched.rule.threshold, size, total), EXPOSED)
    return guard.alarm


def delay(rng: np.random.Generator, watched: SimulatedAlert, bad_rate: float, size: float, burst: float) -> float:
    """Return the requests until the rollback of a fault, where bursts of `size` were learnt; inf for none."""
    guard = _learnt(rng, watched, 0.5 * watched.rule.threshold, size)
    guard.requests = 0
    _watch(guard, watched, outcomes(rng, bad_rate, burst, 40_000), EXPOSED)
    return guard.fired.get(0, inf)


def outcomes(rng: np.random.Generator, rate: float, size: float, total: int) -> np.ndarray:
    """Return which of `total` consecutive requests fail."""
    bad = np.zeros(total + 200, dtype=bool)
    for begin in np.flatnonzero(rng.random(total) < rate / size).tolist():
        bad[begin : begin + rng.geometric(1 / size)] = True
    return bad[:total]


def _learnt(rng: np.random.Generator, watched: SimulatedAlert, rate: float, size: float) -> Guard:
    guard = Guard(watched.rule, watched.alphas)
    if size > 1:
        (ours, our_runs), (theirs, their_runs) = (_history(rng, watched, rate, size) for _ in range(2))
        seen = Bursts(ours, theirs, candidate_runs=our_runs, control_runs=their_runs)
        guard.bursts = learn(seen, watched.rule.threshold)
    return guard


def _history(
    rng: np.random.Generator, watched: SimulatedAlert, rate: float, size: float
) -> tuple[BurstHistory, RunHistory]:
    """Return what one engine's answers have shown; bursts of the other come at other times."""
    total = int(LEARNING_DAYS * DAY_SECONDS / 60 * watched.per_minute)
    seen, runs = BurstHistory(), RunHistory()
    for _, counts in _increments(outcomes(rng, rate, size, total)):
        seen, runs = add_outcomes(seen, counts), runs.add(counts)
    return seen, runs


def _watch(guard: Guard, watched: SimulatedAlert, bad: np.ndarray, inputs: JudgeInputs) -> None:
    for requests, counts in _increments(bad):
        guard.see(START + timedelta(minutes=requests / watched.per_minute), counts, inputs)
        if guard.finished:
            break


def _increments(bad: np.ndarray) -> Iterator[tuple[int, Counts]]:
    """Cut after each failure and a few requests later, and where nothing fails only each window or so."""
    position = 0
    for index in np.flatnonzero(bad).tolist():
        for end in (min(index, position + LOOK_EVERY * 4), index):
            if end > position:
                yield end, Counts(0, end - position)
                position = end
        yield index + 1, Counts(1, 1)
        position = index + 1
    if len(bad) > position:
        yield len(bad), Counts(0, len(bad) - position)


def _peer_alarms(rng: np.random.Generator, runs: int, per_minute: float, factor: float, size: float) -> Sequence[int]:
    total = int(PHASE_DAYS * DAY_SECONDS / 60 * per_minute)
    per_tick = max(1, round(per_minute * TICK_SECONDS / 60))
    ticks = total // per_tick
    bad = np.stack(
        [outcomes(rng, factor * 0.01, size, ticks * per_tick).reshape(ticks, per_tick).sum(1) for _ in range(runs)]
    )
    counts = np.full_like(bad, per_tick)
    return [int((method(bad, counts, 0.01) >= 0).sum()) for method in peers.METHODS.values()]
