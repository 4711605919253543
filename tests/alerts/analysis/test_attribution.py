from dataclasses import replace

import pytest

from alerts.analysis.attribution import Attribution, Pairs
from alerts.analysis.evidence import Counts, Evidence
from alerts.analysis.sequential_test import discordant_test, step
from alerts.analysis.verdicts import Status
from tests.alerts.analysis.guarded_flag import DRIFT, FAILURE, START, VARIANCE, GuardedFlag

CLEAN_LEGACY = Pairs(decided=20, compared=20, v2_only=5, legacy_only=0, legacy_failed=0)


def test_v2_failing_alone_rolls_back() -> None:
    guarded = GuardedFlag(FAILURE)
    guarded.pairs = CLEAN_LEGACY
    verdict = guarded.tick(5, 20)

    assert (verdict.status, verdict.attribution) == (Status.ROLLBACK, Attribution.V2_ONLY)


def test_a_total_outage_of_v2_rolls_back_at_the_third_request() -> None:
    guarded = GuardedFlag(FAILURE)
    guarded.pairs = Pairs(decided=3, compared=3, v2_only=3, legacy_only=0, legacy_failed=0)

    assert guarded.tick(3, 3).status is Status.ROLLBACK


@pytest.mark.parametrize(("v2_only", "legacy_only", "legacy_failed"), [(0, 0, 10), (5, 5, 10), (6, 4, 4), (9, 1, 1)])
def test_a_breach_that_legacy_shares_holds(v2_only: int, legacy_only: int, legacy_failed: int) -> None:
    guarded = GuardedFlag(FAILURE)
    guarded.pairs = Pairs(20, 20, v2_only, legacy_only, legacy_failed)
    verdict = guarded.tick(10, 20)

    assert (verdict.status, verdict.attribution) == (Status.HOLD, Attribution.SHARED)
    assert "legacy fails as well" in verdict.reason


def test_v2_failing_far_more_often_than_legacy_is_its_own_fault() -> None:
    guarded = GuardedFlag(FAILURE)
    guarded.pairs = Pairs(100, 100, v2_only=15, legacy_only=1, legacy_failed=2)

    assert guarded.tick(16, 100).attribution is Attribution.V2_ONLY


def test_slow_failures_are_attributed_over_the_whole_attempt() -> None:
    guarded = GuardedFlag(FAILURE)
    bet = discordant_test(window_seconds=300)
    worse = step(bet, Evidence(), Counts(12, 13), at=START)
    alike = step(bet, Evidence(), Counts(12, 23), at=START)

    guarded.pairs = Pairs(20, 20, v2_only=1, legacy_only=0, legacy_failed=0, discordant=worse)
    assert guarded.tick(13, 300).attribution is Attribution.V2_ONLY
    guarded.pairs = replace(guarded.pairs, discordant=alike)
    assert guarded.tick().attribution is Attribution.SHARED


def test_a_few_slow_failures_are_v2s_while_legacy_has_none() -> None:
    guarded = GuardedFlag(FAILURE)
    alone = step(discordant_test(window_seconds=300), Evidence(), Counts(6, 6), at=START)
    guarded.pairs = Pairs(20, 20, v2_only=0, legacy_only=0, legacy_failed=0, discordant=alone)

    assert guarded.tick(6, 50).attribution is Attribution.V2_ONLY


def test_background_failures_of_v2_are_not_blamed_for_an_outage_that_both_engines_had() -> None:
    guarded = GuardedFlag(FAILURE)
    background = step(discordant_test(window_seconds=300), Evidence(), Counts(9, 9), at=START)
    guarded.pairs = Pairs(500, 500, v2_only=1, legacy_only=0, legacy_failed=0, discordant=background)

    assert guarded.tick(109, 1000).attribution is Attribution.SHARED


def test_worse_background_of_v2_does_not_make_a_shared_outage_its_own() -> None:
    guarded = GuardedFlag(FAILURE)
    background = step(discordant_test(window_seconds=300), Evidence(), Counts(14, 14), at=START)
    guarded.pairs = Pairs(500, 500, v2_only=0, legacy_only=0, legacy_failed=1, discordant=background)

    assert guarded.tick(114, 1000).attribution is Attribution.SHARED


@pytest.mark.parametrize("pairs", [None, replace(CLEAN_LEGACY, compared=17), Pairs(0, 0, 0, 0, 0)])
def test_a_breach_that_was_hardly_compared_is_not_excused(pairs: Pairs | None) -> None:
    guarded = GuardedFlag(FAILURE)
    guarded.pairs = pairs
    verdict = guarded.tick(5, 20)

    assert (verdict.status, verdict.attribution) == (Status.ROLLBACK, Attribution.UNKNOWN)


def test_a_mismatch_is_always_v2s() -> None:
    verdict = GuardedFlag(VARIANCE).tick(3, 40)

    assert (verdict.status, verdict.attribution) == (Status.ROLLBACK, Attribution.V2_ONLY)


def test_a_mean_difference_of_a_tenth_is_drift_and_v2s() -> None:
    verdict = GuardedFlag(DRIFT).tick(50, 500)

    assert (verdict.status, verdict.attribution) == (Status.ROLLBACK, Attribution.V2_ONLY)
