from dataclasses import replace

import pytest

from alerts.analysis.attribution import Attribution, Pairs
from alerts.analysis.evidence import Evidence
from alerts.analysis.sequential_test import discordant_test, step
from alerts.analysis.verdicts import Status
from control_plane.signal_counts import Counts
from tests.alerts.analysis.guarded_flag import DRIFT, FAILURE, START, VARIANCE, GuardedFlag

CLEAN_LEGACY = Pairs(decided=20, compared=20, candidate_only=5, control_only=0, control_failed=0)


def test_v2_failing_alone_rolls_back() -> None:
    guarded = GuardedFlag(FAILURE)
    guarded.pairs = CLEAN_LEGACY
    verdict = guarded.tick(5, 20)

    assert (verdict.status, verdict.attribution) == (Status.ROLLBACK, Attribution.CANDIDATE_ONLY)


def test_a_total_outage_of_v2_rolls_back_at_the_third_request() -> None:
    guarded = GuardedFlag(FAILURE)
    guarded.pairs = Pairs(decided=3, compared=3, candidate_only=3, control_only=0, control_failed=0)

    assert guarded.tick(3, 3).status is Status.ROLLBACK


@pytest.mark.parametrize(
    ("candidate_only", "control_only", "control_failed"), [(0, 0, 10), (5, 5, 10), (6, 4, 4), (9, 1, 1)]
)
def test_a_breach_that_legacy_shares_holds(candidate_only: int, control_only: int, control_failed: int) -> None:
    guarded = GuardedFlag(FAILURE)
    guarded.pairs = Pairs(20, 20, candidate_only, control_only, control_failed)
    verdict = guarded.tick(10, 20)

    assert (verdict.status, verdict.attribution) == (Status.HOLD, Attribution.SHARED)
    assert "legacy fails as well" in verdict.reason


def test_v2_failing_far_more_often_than_legacy_is_its_own_fault() -> None:
    guarded = GuardedFlag(FAILURE)
    guarded.pairs = Pairs(100, 100, candidate_only=15, control_only=1, control_failed=2)

    assert guarded.tick(16, 100).attribution is Attribution.CANDIDATE_ONLY


def test_slow_failures_are_attributed_over_the_whole_attempt() -> None:
    guarded = GuardedFlag(FAILURE)
    bet = discordant_test(window_seconds=300)
    worse = step(bet, Evidence(), Counts(12, 13), at=START)
    alike = step(bet, Evidence(), Counts(12, 23), at=START)

    guarded.pairs = Pairs(20, 20, candidate_only=1, control_only=0, control_failed=0, discordant=worse)
    assert guarded.tick(13, 300).attribution is Attribution.CANDIDATE_ONLY
    guarded.pairs = replace(guarded.pairs, discordant=alike)
    assert guarded.tick().attribution is Attribution.SHARED


def test_a_few_slow_failures_are_v2s_while_legacy_has_none() -> None:
    guarded = GuardedFlag(FAILURE)
    alone = step(discordant_test(window_seconds=300), Evidence(), Counts(6, 6), at=START)
    guarded.pairs = Pairs(20, 20, candidate_only=0, control_only=0, control_failed=0, discordant=alone)

    assert guarded.tick(6, 50).attribution is Attribution.CANDIDATE_ONLY


def test_background_failures_of_v2_are_not_blamed_for_an_outage_that_both_engines_had() -> None:
    guarded = GuardedFlag(FAILURE)
    background = step(discordant_test(window_seconds=300), Evidence(), Counts(9, 9), at=START)
    guarded.pairs = Pairs(500, 500, candidate_only=1, control_only=0, control_failed=0, discordant=background)

    assert guarded.tick(109, 1000).attribution is Attribution.SHARED


def test_worse_background_of_v2_does_not_make_a_shared_outage_its_own() -> None:
    guarded = GuardedFlag(FAILURE)
    background = step(discordant_test(window_seconds=300), Evidence(), Counts(14, 14), at=START)
    guarded.pairs = Pairs(500, 500, candidate_only=0, control_only=0, control_failed=1, discordant=background)

    assert guarded.tick(114, 1000).attribution is Attribution.SHARED


@pytest.mark.parametrize("pairs", [None, replace(CLEAN_LEGACY, compared=17), Pairs(0, 0, 0, 0, 0)])
def test_a_breach_that_was_hardly_compared_is_not_excused(pairs: Pairs | None) -> None:
    guarded = GuardedFlag(FAILURE)
    guarded.pairs = pairs
    verdict = guarded.tick(5, 20)

    assert (verdict.status, verdict.attribution) == (Status.ROLLBACK, Attribution.UNKNOWN)


def test_a_mismatch_is_always_v2s() -> None:
    verdict = GuardedFlag(VARIANCE).tick(3, 40)

    assert (verdict.status, verdict.attribution) == (Status.ROLLBACK, Attribution.CANDIDATE_ONLY)


def test_a_mean_difference_of_a_tenth_is_drift_and_v2s() -> None:
    verdict = GuardedFlag(DRIFT).tick(50, 500)

    assert (verdict.status, verdict.attribution) == (Status.ROLLBACK, Attribution.CANDIDATE_ONLY)


NOTHING = Pairs(decided=0, compared=0, candidate_only=0, control_only=0, control_failed=0)
SHARED = Pairs(decided=20, compared=20, candidate_only=0, control_only=0, control_failed=10)


@pytest.mark.parametrize("quiet", [NOTHING, replace(NOTHING, decided=30, compared=0)])
def test_a_shared_breach_that_traffic_leaves_behind_is_still_shared(quiet: Pairs) -> None:
    guarded = GuardedFlag(FAILURE)
    guarded.pairs = SHARED
    assert guarded.tick(10, 20).status is Status.HOLD
    guarded.pairs = quiet
    after = guarded.tick(0, quiet.decided, seconds=600)
    assert (after.status, after.attribution) == (Status.HOLD, Attribution.SHARED)


def test_failures_that_nobody_compares_after_a_shared_breach_are_not_excused_by_it() -> None:
    guarded = GuardedFlag(FAILURE)
    guarded.pairs = SHARED
    guarded.tick(10, 20)
    guarded.pairs = replace(NOTHING, decided=20)
    assert guarded.tick(10, 20, seconds=600).status is Status.ROLLBACK


def test_a_breach_that_must_last_rolls_back_in_a_quiet_time_as_well() -> None:
    guarded = GuardedFlag(replace(FAILURE, for_seconds=600))
    assert guarded.tick(10, 20).status is Status.HOLD
    assert guarded.tick(seconds=600).status is Status.ROLLBACK


@pytest.mark.parametrize(
    ("control_only", "both", "said"),
    [(2, 3, "but legacy fails as well."), (20, 3, "but it is legacy that fails.")],
)
def test_a_likely_breach_says_whose_it_is_not(control_only: int, both: int, said: str) -> None:
    guarded = GuardedFlag(FAILURE)
    guarded.pairs = Pairs(100, 100, candidate_only=0, control_only=control_only, control_failed=control_only + both)
    assert guarded.tick(both, 20).cause == f"Likely over its threshold, {said}"


def test_an_outage_of_both_that_legacy_met_first_is_shared() -> None:
    guarded = GuardedFlag(FAILURE)
    guarded.pairs = Pairs(100, 100, candidate_only=0, control_only=2, control_failed=52)
    assert guarded.tick(50, 100).attribution is Attribution.SHARED
