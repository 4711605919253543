from math import log

import numpy as np
import pytest
from hypothesis import given
from scipy.special import logsumexp
from scipy.stats import binom, gamma

from alerts.analysis.safety_test import (
    SAFE_FACTORS,
    SAFE_LOG_E,
    chance_above,
    clean_outcomes_needed,
    log_safe,
    outcomes_for_chance,
)
from alerts.analysis.sequential_test import LIMIT
from control_plane.signal_counts import Counts
from tests.alerts.analysis.counts import counts


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


@given(seen=counts)
def test_the_chance_is_the_tail_of_the_posterior(seen: Counts) -> None:
    if seen.total:
        expected = gamma.sf(0.01, seen.bad + 0.5, scale=1 / seen.total)
        assert chance_above(0.01, seen) == pytest.approx(expected, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("chance", [0.05, 0.1, 0.2])
@given(seen=counts)
def test_what_is_missing_for_a_chance_is_exactly_missing(chance: float, seen: Counts) -> None:
    missing = outcomes_for_chance(0.01, seen, chance)

    assert chance_above(0.01, seen + Counts(0, missing)) <= chance
    assert missing == 0 or chance_above(0.01, seen + Counts(0, missing - 1)) > chance


def test_without_outcomes_nothing_is_known() -> None:
    assert chance_above(0.01, Counts()) == 1
