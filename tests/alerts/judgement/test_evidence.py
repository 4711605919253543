import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from math import exp, isfinite, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp
from scipy.stats import binom

from alerts.judgement.certificates import SAFE_FACTORS, SAFE_LOG_E, clean_outcomes_needed, log_safe
from alerts.judgement.evidence import (
    DISCORDANT_ALTERNATIVES,
    LIMIT,
    MISMATCH_FACTORS,
    RATE_FACTORS,
    Bet,
    Counts,
    Evidence,
    discordant_bet,
    failures_needed,
    first_window_log_e,
    from_json,
    log_start,
    mismatch_bet,
    rate_bet,
    step,
    to_json,
)

START = datetime(2026, 3, 1, tzinfo=UTC)
WINDOW = 300
ONE_PERCENT = rate_bet(0.01, window_seconds=WINDOW)

counts = st.builds(lambda bad, good: Counts(bad, bad + good), st.integers(0, 50), st.integers(0, 500))
few = st.builds(lambda bad, good: Counts(bad, bad + good), st.integers(0, 8), st.integers(0, 500))
thresholds = st.sampled_from([0.0005, 0.001, 0.005, 0.01, 0.05, 0.2, 0.5])


def after(bet: Bet, *increments: Counts, evidence: Evidence | None = None, every_seconds: float = 1) -> Evidence:
    """The evidence after one increment each `every_seconds`, from START on."""
    seen = evidence or Evidence()
    for index, increment in enumerate(increments):
        seen = step(bet, seen, increment, at=START + timedelta(seconds=index * every_seconds))
    return seen


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

    found = log_start(rate_bet(threshold, window_seconds=WINDOW), seen)

    assert found == pytest.approx(min(expected, LIMIT), rel=1e-6, abs=1e-6)


@given(seen=counts)
def test_discordant_pairs_are_a_coin_under_the_null(seen: Counts) -> None:
    ratios = binom.logpmf(seen.bad, seen.total, [*DISCORDANT_ALTERNATIVES]) - binom.logpmf(seen.bad, seen.total, 0.5)

    found = log_start(discordant_bet(window_seconds=WINDOW), seen)

    assert found == pytest.approx(logsumexp(ratios) - log(len(ratios)), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(
    ("bet", "threshold", "factors", "start_share"),
    [
        (ONE_PERCENT, 0.01, RATE_FACTORS, 0.6),
        (mismatch_bet(0.001, window_seconds=WINDOW), 0.001, MISMATCH_FACTORS, 0.95),
    ],
)
@given(increments=st.lists(st.tuples(few, st.integers(0, 900)), max_size=12))
def test_two_speeds_equal_the_recursion_they_stand_for(
    bet: Bet,
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
    bet = mismatch_bet(0.001, window_seconds=WINDOW)

    assert after(bet, Counts(bad, total)).log_e >= log(100)
    assert after(bet, Counts(bad - 1, total)).log_e < log(100)


def test_one_mismatch_is_watched_only() -> None:
    assert after(mismatch_bet(0.001, window_seconds=WINDOW), Counts(1, 10)).log_e < log(100)


@given(threshold=thresholds, outcomes=st.integers(1, 30))
def test_a_fair_bet_gains_nothing_on_average_at_the_threshold(threshold: float, outcomes: int) -> None:
    bet = rate_bet(threshold, window_seconds=WINDOW)
    chances = binom.pmf(range(outcomes + 1), outcomes, threshold)

    mean = sum(
        chance * exp(log_start(bet, Counts(bad, outcomes))) for bad, chance in enumerate(chances) if chance > 1e-300
    )

    assert mean == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize("bet_on", [rate_bet, mismatch_bet])
@given(threshold=st.sampled_from([0.001, 0.01, 0.05]), rate=st.floats(0.001, 1), outcomes=st.integers(1, 30))
def test_a_rate_below_the_threshold_loses_money(
    bet_on: Callable[..., Bet], threshold: float, rate: float, outcomes: int
) -> None:
    bet = bet_on(threshold, window_seconds=WINDOW)
    chances = binom.pmf(range(outcomes + 1), outcomes, rate * threshold)

    mean = sum(
        chance * exp(first_window_log_e(bet, Counts(bad, outcomes))) for bad, chance in enumerate(chances) if chance
    )

    assert mean <= 1 + 1e-9


@given(data=st.data(), increments=st.lists(counts, min_size=1, max_size=8))
def test_the_order_of_increments_inside_a_window_does_not_matter(data: st.DataObject, increments: list[Counts]) -> None:
    healthy = after(ONE_PERCENT, Counts(1, 400))
    shuffled = data.draw(st.permutations(increments))
    merged = sum(increments, Counts())
    later = START + timedelta(seconds=WINDOW)

    def end(order: list[Counts]) -> Evidence:
        evidence = healthy
        for each in order:
            evidence = step(ONE_PERCENT, evidence, each, at=later)
        return evidence

    ends = {
        (seen.bad, seen.total, seen.window_bad, seen.window_total, seen.carried, seen.log_e)
        for seen in (end(increments), end(shuffled), end([merged]))
    }

    assert len(ends) == 1


@given(
    threshold=thresholds,
    increments=st.lists(
        st.tuples(st.integers(0, 10**12), st.integers(0, 10**12), st.integers(-4000, 4000)), max_size=20
    ),
)
def test_evidence_is_a_number_whatever_the_counts_and_the_clock(
    threshold: float, increments: list[tuple[int, int, int]]
) -> None:
    bet = rate_bet(threshold, window_seconds=60)
    evidence, at = Evidence(), START
    for bad, good, seconds in increments:
        at += timedelta(seconds=seconds)
        evidence = step(bet, evidence, Counts(bad, bad + good), at=at)
        assert isfinite(evidence.log_e)
        assert abs(evidence.log_e) <= LIMIT
        assert all(map(isfinite, evidence.carried))
        assert 0 <= evidence.p_value <= 1


def test_no_outcomes_change_nothing() -> None:
    evidence = after(ONE_PERCENT, Counts(1, 20))

    assert step(ONE_PERCENT, evidence, Counts(), at=START + timedelta(days=3)) is evidence


def test_quiet_windows_use_up_no_budget() -> None:
    evidence = after(ONE_PERCENT, Counts(0, 1), Counts(0, 1), every_seconds=30 * 24 * 3600)

    assert evidence.windows_used == 2


@pytest.mark.parametrize("increment", [Counts(-1, 3), Counts(4, 3), Counts(0, -1)])
def test_it_refuses_counts_that_cannot_be(increment: Counts) -> None:
    with pytest.raises(ValueError, match="0 <= bad <= total"):
        step(ONE_PERCENT, Evidence(), increment, at=START)


@pytest.mark.parametrize("threshold", [-0.01, 0.51, 1.0])
def test_it_refuses_a_threshold_that_no_alternative_lies_above(threshold: float) -> None:
    with pytest.raises(ValueError, match=r"between 0 and 0\.5"):
        rate_bet(threshold, window_seconds=WINDOW)


def test_a_fault_after_a_healthy_day_still_shows_within_a_window() -> None:
    healthy = after(ONE_PERCENT, *[Counts(0, 100)] * 1440, every_seconds=60)
    noon = START + timedelta(days=1)

    faulty = step(ONE_PERCENT, healthy, Counts(20, 100), at=noon)

    assert faulty.log_e > log(1000)
    assert log_start(ONE_PERCENT, faulty.counts) < 0


def test_a_used_up_budget_begins_the_count_again_and_forgets_no_running_fault() -> None:
    bet = rate_bet(0.01, window_seconds=24 * 3600)
    day = 24 * 3600
    assert bet.budget == 7
    week = after(bet, *[Counts(0, 200)] * 6, Counts(4, 40), every_seconds=day)

    renewed = step(bet, week, Counts(0, 1), at=START + timedelta(days=7))

    assert (renewed.renewals, renewed.windows_used) == (1, 1)
    assert (renewed.base_bad, renewed.base_total) == (4, 1240)
    assert renewed.counts == Counts(4, 1241)
    assert renewed.log_e > week.log_e - 1


def test_a_used_up_budget_keeps_a_count_that_speaks_against_the_release() -> None:
    bet = rate_bet(0.01, window_seconds=24 * 3600)
    week = after(bet, *[Counts(3, 200)] * 7, every_seconds=24 * 3600)

    renewed = step(bet, week, Counts(0, 1), at=START + timedelta(days=7))

    assert (renewed.renewals, renewed.base_total) == (1, 0)


def test_a_clock_that_jumps_back_opens_one_window_more() -> None:
    evidence = after(ONE_PERCENT, Counts(0, 10))

    jumped = step(ONE_PERCENT, evidence, Counts(0, 10), at=START - timedelta(hours=1))

    assert (jumped.windows_used, jumped.window_total, jumped.total) == (2, 10, 20)


def test_a_tripwire_trips_at_the_first_event_and_stays_tripped() -> None:
    tripwire = rate_bet(0.0, window_seconds=WINDOW)

    quiet = after(tripwire, Counts(0, 1_000_000))
    tripped = after(tripwire, Counts(1, 1), Counts(0, 10**6), every_seconds=400)

    assert quiet.log_e == 0
    assert tripped.log_e == LIMIT


def test_the_peak_remembers_the_strongest_evidence() -> None:
    evidence = after(ONE_PERCENT, Counts(3, 20), Counts(0, 2000))

    assert evidence.log_e < 0
    assert evidence.p_value == pytest.approx(1 / 30.9, rel=5e-3)


def test_it_survives_a_restart() -> None:
    before = after(ONE_PERCENT, Counts(1, 20), Counts(0, 300), every_seconds=400)

    restored = from_json(json.loads(json.dumps(to_json(before))))

    assert restored == before
    assert from_json(json.loads(json.dumps(to_json(Evidence())))) == Evidence()


def test_one_percent_is_certified_by_367_clean_outcomes() -> None:
    assert clean_outcomes_needed(0.01, Counts()) == 367
    assert log_safe(0.01, Counts(0, 367)) >= SAFE_LOG_E > log_safe(0.01, Counts(0, 366))
    assert clean_outcomes_needed(0.01, Counts(0, 367)) == 0


@pytest.mark.parametrize("threshold", [0.001, 0.005, 0.05, 0.5])
def test_other_thresholds_are_certified_by_the_first_count_that_pays_twenty_to_one(threshold: float) -> None:
    outcomes = np.arange(1.1 * 3.7 / threshold)[:, None]
    odds = ((1 - np.array(SAFE_FACTORS) * threshold) / (1 - threshold)) ** outcomes

    assert clean_outcomes_needed(threshold, Counts()) == np.argmax(odds.mean(axis=1) >= 20)


@given(seen=counts)
def test_the_certificate_is_the_mirrored_likelihood_ratio(seen: Counts) -> None:
    ratios = binom.logpmf(seen.bad, seen.total, np.array(SAFE_FACTORS) * 0.01) - binom.logpmf(
        seen.bad, seen.total, 0.01
    )

    assert log_safe(0.01, seen) == pytest.approx(
        max(logsumexp(ratios) - log(len(SAFE_FACTORS)), -LIMIT), rel=1e-6, abs=1e-6
    )


@given(seen=counts)
def test_what_is_said_to_be_missing_for_the_certificate_is_exactly_missing(seen: Counts) -> None:
    missing = clean_outcomes_needed(0.01, seen)

    assert missing is not None
    assert log_safe(0.01, seen + Counts(0, missing)) >= SAFE_LOG_E
    assert missing == 0 or log_safe(0.01, seen + Counts(0, missing - 1)) < SAFE_LOG_E


def test_a_threshold_of_zero_cannot_be_certified() -> None:
    assert clean_outcomes_needed(0.0, Counts(0, 10**9)) is None
    assert log_safe(0.0, Counts(0, 10**9)) < 0
