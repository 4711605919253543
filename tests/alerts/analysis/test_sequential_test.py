from collections.abc import Callable
from datetime import timedelta
from itertools import product
from math import exp, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp
from scipy.stats import binom

from alerts.analysis.evidence import Evidence
from alerts.analysis.sequential_test import (
    DISCORDANT_ALTERNATIVES,
    LIMIT,
    MISMATCH_FACTORS,
    RATE_FACTORS,
    SequentialTest,
    discordant_test,
    failures_needed,
    first_window_log_e,
    log_start,
    mismatch_test,
    rate_test,
    revisable,
    step,
)
from control_plane.signal_counts import Counts
from tests.alerts.analysis.counts import ONE_PERCENT, START, WINDOW, after, counts, few, thresholds


@pytest.mark.parametrize(
    ("alpha", "needed"),
    [(0.01, [3, 3, 4, 5, 7, 10, 16, 24, 79]), (0.001, [3, 4, 5, 6, 8, 11, 18, 27, 84])],
)
def test_it_takes_the_published_number_of_failures_to_roll_back(alpha: float, needed: list[int]) -> None:
    outcomes = (5, 10, 20, 50, 100, 200, 500, 1000, 5000)

    found = [failures_needed(ONE_PERCENT, total, log_bar=-log(alpha)) for total in outcomes]

    assert found == needed


def test_one_outcome_can_never_be_enough_failures() -> None:
    assert failures_needed(ONE_PERCENT, 1, log_bar=log(100)) is None


@pytest.mark.parametrize(("bad", "expected"), [(1, 0.79), (2, 3.38), (3, 30.9), (4, 480.2)])
def test_twenty_requests_give_the_published_evidence(bad: int, expected: float) -> None:
    assert exp(after(ONE_PERCENT, Counts(bad, 20)).log_e) == pytest.approx(expected, rel=5e-3)


def test_a_rate_five_percent_above_the_threshold_shows_in_a_million_requests() -> None:
    assert exp(after(ONE_PERCENT, Counts(10_500, 1_000_000)).log_e) == pytest.approx(8.95e3, rel=0.01)


@given(threshold=thresholds, seen=counts)
def test_evidence_since_the_start_is_the_mean_of_binomial_likelihood_ratios(threshold: float, seen: Counts) -> None:
    alternatives = np.minimum(np.array([*RATE_FACTORS]) * threshold, 0.95)
    ratios = binom.logpmf(seen.bad, seen.total, alternatives) - binom.logpmf(seen.bad, seen.total, threshold)
    expected = logsumexp(ratios, b=[*RATE_FACTORS.values()])

    found = log_start(rate_test(threshold, window_seconds=WINDOW), seen)

    assert found == pytest.approx(min(expected, LIMIT), rel=1e-6, abs=1e-6)


@given(seen=counts)
def test_discordant_pairs_are_a_coin_under_the_null(seen: Counts) -> None:
    ratios = binom.logpmf(seen.bad, seen.total, [*DISCORDANT_ALTERNATIVES]) - binom.logpmf(seen.bad, seen.total, 0.5)

    found = log_start(discordant_test(window_seconds=WINDOW), seen)

    assert found == pytest.approx(logsumexp(ratios) - log(len(ratios)), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(
    ("bet", "threshold", "factors", "start_share"),
    [
        (ONE_PERCENT, 0.01, RATE_FACTORS, 0.6),
        (mismatch_test(0.001, window_seconds=WINDOW), 0.001, MISMATCH_FACTORS, 0.95),
    ],
)
@given(increments=st.lists(st.tuples(few, st.integers(0, 900)), max_size=12))
def test_two_speeds_equal_the_recursion_they_stand_for(
    bet: SequentialTest,
    threshold: float,
    factors: dict[float, float],
    start_share: float,
    increments: list[tuple[Counts, int]],
) -> None:
    alternatives, log_weights = np.minimum(np.array([*factors]) * threshold, 0.95), np.log([*factors.values()])
    gain_bad, gain_good = np.log(alternatives / threshold), np.log((1 - alternatives) / (1 - threshold))
    log_m, total, window = np.full(len(factors), -np.inf), Counts(), None
    evidence, at = Evidence(), START

    for increment, seconds in increments:
        at += timedelta(seconds=seconds)
        evidence = step(bet, evidence, increment, at=at)
        if not increment.total:
            continue
        if at.timestamp() // WINDOW != window:
            window = at.timestamp() // WINDOW
            log_m = np.logaddexp(log_m, 0)
        log_m = log_m + increment.bad * gain_bad + (increment.total - increment.bad) * gain_good
        total += increment
        since_start = logsumexp(total.bad * gain_bad + (total.total - total.bad) * gain_good + log_weights)
        recent = logsumexp(log_m + log_weights) - log(bet.budget)
        expected = np.logaddexp(log(start_share) + since_start, log(1 - start_share) + recent)
        assert evidence.log_e == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_the_weights_of_every_bet_add_up_to_one() -> None:
    assert [sum(weights.values()) for weights in (RATE_FACTORS, MISMATCH_FACTORS, DISCORDANT_ALTERNATIVES)] == (
        pytest.approx([1, 1, 1])
    )


@pytest.mark.parametrize(("bad", "total"), [(2, 20), (3, 180), (4, 400)])
def test_a_few_mismatches_are_enough_to_roll_back(bad: int, total: int) -> None:
    bet = mismatch_test(0.001, window_seconds=WINDOW)

    assert after(bet, Counts(bad, total)).log_e >= log(100)
    assert after(bet, Counts(bad - 1, total)).log_e < log(100)


def test_one_mismatch_is_watched_only() -> None:
    assert after(mismatch_test(0.001, window_seconds=WINDOW), Counts(1, 10)).log_e < log(100)


@given(threshold=thresholds, outcomes=st.integers(1, 30))
def test_a_fair_bet_gains_nothing_on_average_at_the_threshold(threshold: float, outcomes: int) -> None:
    bet = rate_test(threshold, window_seconds=WINDOW)
    chances = binom.pmf(range(outcomes + 1), outcomes, threshold)

    mean = sum(
        chance * exp(log_start(bet, Counts(bad, outcomes))) for bad, chance in enumerate(chances) if chance > 1e-300
    )

    assert mean == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize("bet_on", [rate_test, mismatch_test])
@given(threshold=st.sampled_from([0.001, 0.01, 0.05]), rate=st.floats(0.001, 1), outcomes=st.integers(1, 30))
def test_a_rate_below_the_threshold_loses_money(
    bet_on: Callable[..., SequentialTest], threshold: float, rate: float, outcomes: int
) -> None:
    bet = bet_on(threshold, window_seconds=WINDOW)
    chances = binom.pmf(range(outcomes + 1), outcomes, rate * threshold)

    mean = sum(
        chance * exp(first_window_log_e(bet, Counts(bad, outcomes))) for bad, chance in enumerate(chances) if chance
    )

    assert mean <= 1 + 1e-9


@pytest.mark.parametrize("threshold", [-0.01, 0.51, 1.0])
def test_it_refuses_a_threshold_that_no_alternative_lies_above(threshold: float) -> None:
    with pytest.raises(ValueError, match=r"between 0 and 0\.5"):
        rate_test(threshold, window_seconds=WINDOW)


def test_stopping_while_outcomes_may_still_turn_bad_gains_nothing() -> None:
    """Accounts come, then turn bad one after the other: stop at the first evidence, or count who turns bad alone."""
    plain, threshold = rate_test(0.2, window_seconds=3600), 0.2
    stopped = alone = 0.0
    for bad in product((False, True), repeat=8):
        seen, only_bad = after(revisable(plain), Counts(0, 8)), after(plain, *[Counts(1, 1)] * sum(bad))
        for turns in bad:
            if seen.log_e < log(1.5):
                seen = step(revisable(plain), seen, Counts(int(turns), 0), at=START)
        chance = threshold ** sum(bad) * (1 - threshold) ** (8 - sum(bad))
        stopped, alone = stopped + exp(seen.log_e) * chance, alone + exp(only_bad.log_e) * chance
    assert stopped <= 1 < alone


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=20))
def test_what_turns_bad_within_a_window_counts_as_if_it_had_been_bad_at_once(steps: list[tuple[int, int]]) -> None:
    test = revisable(rate_test(0.05, window_seconds=3600))
    seen, came, turned = Evidence(), 0, 0
    for turns, coming in steps:
        came, turned = came + coming, min(turned + turns, came + coming)
        seen = step(test, seen, Counts(turned - seen.bad, came - seen.total), at=START)
    at_once = step(test, Evidence(), Counts(turned, came), at=START)
    assert (seen.bad, seen.total) == (at_once.bad, at_once.total)
    assert seen.log_e == pytest.approx(at_once.log_e)


def test_what_was_not_counted_in_its_window_is_counted_as_it_turns_bad() -> None:
    test = revisable(rate_test(0.05, window_seconds=3600))
    seen = step(test, after(test, Counts(0, 5)), Counts(2, 0), at=START + timedelta(hours=1))
    assert (seen.bad, seen.total, seen.window_bad, seen.window_total) == (2, 7, 2, 2)
