"""Whose fault a cohort's failures are: what legacy did there in the attempt, and what it did of late."""

import pytest

from alerts.analysis.attribution import Attribution
from alerts.analysis.cohorts import RecentCounts, cohort_from_json, cohort_to_json
from alerts.analysis.rules import Rule
from alerts.analysis.verdicts import Status
from control_plane.signal_counts import Counts
from tests.alerts.analysis.watched_cohorts import CRITICAL, SERVING, STARTER, WatchedCohorts


@pytest.mark.parametrize("rule", [CRITICAL, SERVING], ids=lambda rule: rule.name)
def test_an_outage_of_both_sides_after_a_long_healthy_time_blames_nobody(rule: Rule) -> None:
    """In all of its counts legacy hardly fails; of late it fails as much."""
    watched = WatchedCohorts(rule)
    watched.add(STARTER, 0, 100, control=Counts(0, 5_000))
    watched.tick(0, 100)
    watched.add(STARTER, 0, 1, control=Counts(0, 1))
    watched.tick(0, 1, seconds=3 * rule.window_seconds)
    for _ in range(6):
        watched.add(STARTER, 5, 5, control=Counts(8, 8))
        verdict = watched.tick(5, 500, seconds=rule.window_seconds / 2)
        assert verdict.attribution is not Attribution.CANDIDATE_ONLY
        assert verdict.status is not Status.ROLLBACK


def test_an_outage_of_legacy_that_is_over_excuses_nothing() -> None:
    watched = WatchedCohorts(SERVING)
    watched.add(STARTER, 0, 100, control=Counts(20, 5_000))
    watched.tick(0, 100)
    watched.add(STARTER, 0, 100, control=Counts(0, 500))
    watched.tick(0, 100, seconds=3 * SERVING.window_seconds)
    watched.add(STARTER, 10, 10, control=Counts(0, 500))
    assert watched.tick(10, 5_000, seconds=SERVING.window_seconds).attribution is Attribution.CANDIDATE_ONLY


def test_where_legacy_fails_at_all_lately_what_only_v2_serves_is_not_rolled_back() -> None:
    """Both fail around the engines; legacy serves far more, and most of it was well in the same window."""
    watched = WatchedCohorts(SERVING)
    watched.add(STARTER, 0, 0, control=Counts(98, 490))
    watched.tick()
    watched.add(STARTER, 9, 9, control=Counts(0, 0))
    verdict = watched.tick(9, 900)
    assert verdict.status is Status.WATCH
    assert "Legacy fails there as well" in verdict.cause


def test_a_memory_of_an_earlier_release_has_nothing_recent() -> None:
    watched = WatchedCohorts()
    watched.add(STARTER, 1, 10)
    watched.tick(1, 10)
    counts, evidence = cohort_to_json(watched.memories[STARTER])
    del counts["recent"]
    assert cohort_from_json(counts, evidence).recent == RecentCounts()
