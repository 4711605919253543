import json
from datetime import timedelta
from math import exp, isfinite, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.analysis.evidence import Evidence, attempts_for_chance, chance_sentence, from_json, to_json
from alerts.analysis.rules import ErrorBudget
from alerts.analysis.sequential_test import LIMIT, log_start, rate_test, step
from control_plane.signal_counts import Counts
from tests.alerts.analysis.counts import ONE_PERCENT, START, WINDOW, after, counts, thresholds


def p_value(evidence: Evidence) -> float:
    """Return the anytime-valid p-value, min(1, 1 / max E)."""
    return min(1.0, exp(-evidence.peak_log_e))


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
    bet = rate_test(threshold, window_seconds=60)
    evidence, at = Evidence(), START
    for bad, good, seconds in increments:
        at += timedelta(seconds=seconds)
        evidence = step(bet, evidence, Counts(bad, bad + good), at=at)
        assert isfinite(evidence.log_e)
        assert abs(evidence.log_e) <= LIMIT
        assert all(map(isfinite, evidence.carried))
        assert 0 <= p_value(evidence) <= 1


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


def test_a_fault_after_a_healthy_day_still_shows_within_a_window() -> None:
    healthy = after(ONE_PERCENT, *[Counts(0, 100)] * 1440, every_seconds=60)
    noon = START + timedelta(days=1)

    faulty = step(ONE_PERCENT, healthy, Counts(20, 100), at=noon)

    assert faulty.log_e > log(1000)
    assert log_start(ONE_PERCENT, faulty.counts) < 0


def test_a_used_up_budget_begins_the_count_again_and_forgets_no_running_fault() -> None:
    bet = rate_test(0.01, window_seconds=4 * 24 * 3600)
    days = 4 * 24 * 3600
    assert bet.budget == 7
    weeks = after(bet, *[Counts(0, 200)] * 6, Counts(4, 40), every_seconds=days)

    renewed = step(bet, weeks, Counts(0, 1), at=START + timedelta(days=28))

    assert (renewed.renewals, renewed.windows_used) == (1, 1)
    assert (renewed.base_bad, renewed.base_total) == (4, 1240)
    assert renewed.counts == Counts(4, 1241)
    assert renewed.log_e > weeks.log_e - 1


def test_a_used_up_budget_keeps_a_count_that_speaks_against_the_release() -> None:
    bet = rate_test(0.01, window_seconds=4 * 24 * 3600)
    weeks = after(bet, *[Counts(3, 200)] * 7, every_seconds=4 * 24 * 3600)

    renewed = step(bet, weeks, Counts(0, 1), at=START + timedelta(days=28))

    assert (renewed.renewals, renewed.base_total) == (1, 0)


def test_a_clock_that_jumps_back_opens_one_window_more() -> None:
    evidence = after(ONE_PERCENT, Counts(0, 10))

    jumped = step(ONE_PERCENT, evidence, Counts(0, 10), at=START - timedelta(hours=1))

    assert (jumped.windows_used, jumped.window_total, jumped.total) == (2, 10, 20)


def test_a_tripwire_trips_at_the_first_event_and_stays_tripped() -> None:
    tripwire = rate_test(0.0, window_seconds=WINDOW)

    quiet = after(tripwire, Counts(0, 1_000_000))
    tripped = after(tripwire, Counts(1, 1), Counts(0, 10**6), every_seconds=400)

    assert quiet.log_e == 0
    assert tripped.log_e == LIMIT


def test_the_peak_remembers_the_strongest_evidence() -> None:
    evidence = after(ONE_PERCENT, Counts(3, 20), Counts(0, 2000))

    assert evidence.log_e < 0
    assert p_value(evidence) == pytest.approx(1 / 30.9, rel=5e-3)


def test_it_survives_a_restart() -> None:
    before = after(ONE_PERCENT, Counts(1, 20), Counts(0, 300), every_seconds=400)

    restored = from_json(json.loads(json.dumps(to_json(before))))

    assert restored == before
    assert from_json(json.loads(json.dumps(to_json(Evidence())))) == Evidence()


@pytest.mark.parametrize(
    ("log10", "attempts"), [(-2.9, 0), (0.0, 1), (0.3, 1), (0.31, 2), (2.71, 510), (4.05, 11_000), (304.0, 10**9)]
)
def test_evidence_is_told_as_the_attempts_of_which_one_gets_as_far_by_chance(log10: float, attempts: int) -> None:
    assert attempts_for_chance(log10) == attempts


@pytest.mark.parametrize("attempts", [10, 20, 50, 100, 200, 1_000, 10_000, 10**6])
def test_a_bar_is_told_as_the_share_that_its_owner_wrote(attempts: int) -> None:
    assert attempts_for_chance(ErrorBudget(1 / attempts, None).rollback_log10 or 0) == attempts


def test_what_chance_explains_is_said_so() -> None:
    assert chance_sentence(-2.9, 2.8) == "Chance alone explains it; a rollback takes 1 of 630."
    assert chance_sentence(0.1, None) == "Chance alone explains it."
    assert chance_sentence(1.0, None) == "Chance alone gets this far in at most 1 of 10 attempts."
