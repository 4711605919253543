"""Failures that come in bursts: what is learnt of them, and that they are no proof by themselves."""

import json
from datetime import timedelta
from math import exp, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.analysis.bursts import (
    HORIZON,
    LARGEST,
    BurstHistory,
    Bursts,
    Increment,
    RunHistory,
    add_outcomes,
    bursts_from_json,
    bursts_to_json,
    learn,
    mean_runs,
    mean_size,
    spaced_size,
    weigh,
)
from alerts.analysis.evidence import Evidence, restart
from alerts.analysis.sequential_test import rate_test, step
from alerts.definitions.parser import parse
from control_plane.signal_counts import Counts
from tests.alerts.analysis.counts import START, counts

SIZES = [1.5, 2.0, 3.0, 5.0]


def outcomes(rng: np.random.Generator, *, size: float, rate: float, total: int) -> np.ndarray:
    """Outcomes in which bursts of a geometric size of this mean begin at random."""
    bad = np.zeros(total, dtype=bool)
    for begin in np.flatnonzero(rng.random(total) < rate / size):
        bad[begin : begin + rng.geometric(1 / size)] = True
    return bad


def history(bad: np.ndarray, *, each: int = 2) -> BurstHistory:
    """Return the history of bursts after these outcomes, added `each` at a time."""
    seen = BurstHistory()
    for some in np.add.reduceat(bad.astype(int), range(0, len(bad), each)).tolist():
        seen = add_outcomes(seen, Counts(some, each))
    return seen


@given(st.lists(counts, max_size=30))
def test_every_outcome_lies_inside_or_outside_of_bursts(increments: list[Counts]) -> None:
    seen = BurstHistory()
    for increment in increments:
        before, seen = seen, add_outcomes(seen, increment)
        assert 0 <= seen.outside_bad - before.outside_bad <= 1, "several at once are one burst"
        assert 0 <= seen.left <= HORIZON
    assert seen.counts == sum(increments, Counts())
    assert seen.outside_bad <= seen.outside_total
    assert seen.inside_bad <= seen.inside_total


@pytest.mark.parametrize("rate", [0.001, 0.005, 0.01])
def test_independent_failures_are_not_taken_for_bursts(rate: float) -> None:
    rng = np.random.default_rng(7)
    sizes = [mean_size(history(outcomes(rng, size=1, rate=rate, total=40_000))) for _ in range(20)]
    assert sizes.count(1.0) >= 19


@pytest.mark.parametrize("size", SIZES)
def test_the_size_of_bursts_is_learnt_from_above(size: float) -> None:
    rng = np.random.default_rng(8)
    learnt = mean_size(history(outcomes(rng, size=size, rate=0.005, total=200_000)))
    assert 0.95 * size < learnt < 1.6 * size


def test_a_release_that_is_broken_does_not_excuse_itself() -> None:
    broken, healthy = BurstHistory(20, 2000, 300, 300), BurstHistory(4, 4000, 0, 60)
    assert learn(Bursts(broken, healthy), 0.01).size == 1
    assert mean_size(broken) > 1, "it would, if it were asked"


def test_what_each_side_shows_too_seldom_both_show_together() -> None:
    few = BurstHistory(2, 4000, 3, 30)
    assert mean_size(few) == 1
    learnt = learn(Bursts(few, few), 0.01)
    assert learnt.size > 2
    assert learn(Bursts(few, BurstHistory(90, 4000, 0, 600)), 0.01).size == 1, "a broken side is left out"


def test_sides_that_fail_at_different_rates_make_no_bursts_together() -> None:
    often, never = add_outcomes(BurstHistory(), Counts(6, 600)), add_outcomes(BurstHistory(), Counts(0, 600))
    assert learn(Bursts(often, never), 0.01).size == 1
    rng = np.random.default_rng(11)
    sizes = []
    for _ in range(20):
        often, seldom = (history(outcomes(rng, size=1, rate=rate, total=40_000)) for rate in (0.009, 0.001))
        sizes.append(learn(Bursts(often, seldom), 0.01).size)
    assert sizes.count(1.0) >= 18


def test_a_size_never_shrinks_and_a_larger_one_begins_the_evidence_anew() -> None:
    rng = np.random.default_rng(9)
    bursty = history(outcomes(rng, size=3, rate=0.005, total=100_000))
    spaced = step(rate_test(0.01, window_seconds=300), Evidence(), Counts(9, 20), at=START)
    known = learn(Bursts(control=bursty, spaced=spaced), 0.01)
    assert known.size > 2.5
    assert (known.spaced.log_e, known.spaced.counts) == (0, spaced.counts)
    assert learn(Bursts(size=known.size), 0.01).size == known.size


def runs(bad: np.ndarray) -> RunHistory:
    """Return the history of runs after these outcomes, added one at a time."""
    seen = RunHistory()
    for each in bad.tolist():
        seen = seen.add(Counts(int(each), 1))
    return seen


def test_a_burst_without_gaps_is_one_run_and_what_comes_after_a_good_outcome_another() -> None:
    seen = runs(np.array([False, True, True, True, False, False, True, False]))
    assert (seen.runs.outside_bad, seen.runs.inside_bad) == (2, 2)
    assert seen.runs.counts == Counts(4, 8)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 3)), max_size=20))
def test_good_outcomes_count_for_runs_alike_at_once_and_one_by_one(stretches: list[tuple[int, int]]) -> None:
    at_once = one_by_one = RunHistory()
    for good, bad in stretches:
        at_once = at_once.add(Counts(0, good)).add(Counts(bad, bad))
        for _ in range(good):
            one_by_one = one_by_one.add(Counts(0, 1))
        one_by_one = one_by_one.add(Counts(bad, bad))
    assert at_once == one_by_one
    assert at_once.runs.counts + Counts(0, at_once.good) == Counts(
        sum(bad for _, bad in stretches), sum(map(sum, stretches))
    )


@pytest.mark.parametrize("size", SIZES)
def test_bursts_without_gaps_are_told_apart_by_their_runs(size: float) -> None:
    rng = np.random.default_rng(8)
    assert 1 < mean_runs(runs(outcomes(rng, size=size, rate=0.005, total=100_000))) <= 1.2


def test_bursts_with_gaps_leave_the_horizon_out() -> None:
    rng = np.random.default_rng(8)
    gapped = outcomes(rng, size=8, rate=0.01, total=100_000) & (rng.random(100_000) < 0.5)
    sides = history(gapped), runs(gapped)
    learnt = learn(Bursts(sides[0], sides[0], candidate_runs=sides[1], control_runs=sides[1]), 0.01)
    assert learnt.size > 3
    assert learnt.runs_size == 0


def test_too_little_is_no_knowledge_of_runs() -> None:
    assert mean_runs(RunHistory(), RunHistory()) == 0
    assert mean_runs(RunHistory(begins=BurstHistory(4, 4000))) == 0


@pytest.mark.parametrize(("runs_size", "needed"), [(1.02, 5), (0.0, 17)])
def test_failures_that_lie_apart_count_each_where_runs_are_told_apart(runs_size: float, needed: int) -> None:
    (rule,) = parse("alerts: {credit_consumption_failure: {threshold: 1%, window: 5m, severity: critical}}")
    evidence, bursts, failures = Evidence(), Bursts(size=5.16, runs_size=runs_size), 0
    while bursts.combine(evidence).log_e < log(600):
        for counts_ in (Counts(0, 4), Counts(1, 1)):
            evidence, bursts = weigh(rule, evidence, bursts, Increment(counts_), at=START, learning=False)
        failures += 1
    assert failures == needed


@pytest.mark.parametrize("size", [*SIZES, LARGEST])
@pytest.mark.parametrize("threshold", [0.001, 0.01, 0.05])
def test_no_outcome_wins_on_average_where_bursts_are_of_that_size(threshold: float, size: float) -> None:
    """Check the e-value of one outcome exactly: its mean over a geometric burst that begins or does not."""
    for on_bad, on_good in rate_test(threshold, window_seconds=300, burst_size=size).gains:
        tilt, cost = exp(on_bad - on_good), -on_good
        share = 1 / size
        burst = share * tilt / (1 - (1 - share) * tilt)  # the mean of tilt^failures in a burst
        assert tilt * (1 - share) < 1
        assert threshold / size * (burst - 1) <= cost * (1 + 1e-9)


def test_with_bursts_of_one_the_test_is_the_plain_one() -> None:
    assert rate_test(0.01, window_seconds=300, burst_size=1.0) == rate_test(0.01, window_seconds=300)
    assert Bursts().combine(Evidence(log_e=5.0)).log_e == 5.0
    assert spaced_size(1.0) == 1.0


@given(st.floats(0, 500), st.floats(0, 500))
def test_mixed_evidence_is_the_mean_of_both(everything: float, spaced: float) -> None:
    mixed = Bursts(size=2.0, spaced=Evidence(log_e=spaced)).combine(Evidence(log_e=everything)).log_e
    top = max(everything, spaced)
    assert mixed == pytest.approx(top + log((exp(everything - top) + exp(spaced - top)) / 2))


def test_a_restart_keeps_the_counts_and_drops_what_they_showed() -> None:
    test = rate_test(0.01, window_seconds=300)
    before = step(test, Evidence(), Counts(20, 100), at=START)
    after = step(test, restart(before), Counts(0, 10), at=START + timedelta(seconds=1))
    assert after.counts == Counts(20, 110)
    assert after.log_e < 0


def test_it_survives_a_restart_of_the_server() -> None:
    bursts = Bursts(
        BurstHistory(1, 20, 3, 15, 2),
        BurstHistory(0, 5, 0, 0, 0),
        2.5,
        BurstHistory(left=3),
        Evidence(1, 20, log_e=1.0),
        RunHistory(BurstHistory(1, 20, 3, 15, 2, 1), BurstHistory(1, 9)),
        RunHistory(),
        1.05,
    )
    assert bursts_from_json(json.loads(json.dumps(bursts_to_json(bursts)))) == bursts


def test_a_worker_of_the_version_before_reads_what_is_stored_and_is_read() -> None:
    history = BurstHistory(1, 20, 3, 15, 2, 1)
    bursts = Bursts(history, history, 2.5, history, Evidence(1, 20), RunHistory(history, history), runs_size=1.05)
    stored = bursts_to_json(bursts)
    assert [stored[name] for name in ("candidate", "control", "apart")] == [[1, 20, 3, 15, 2]] * 3

    known_then = {name: stored[name] for name in ("candidate", "control", "size", "apart", "spaced")}
    without = history._replace(quiet=0)
    assert bursts_from_json(known_then) == Bursts(without, without, 2.5, without, Evidence(1, 20))
