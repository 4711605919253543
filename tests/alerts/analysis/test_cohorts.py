"""Evidence within cohorts: whom it names, what follows, and that a healthy release is left alone."""

from collections.abc import Mapping
from dataclasses import replace
from math import fsum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.analysis.attribution import Attribution
from alerts.analysis.cohorts import COHORTS_MAX, CohortCounts, CohortMemory, cohort_from_json, cohort_to_json, update
from alerts.analysis.rules import Action, Rule, error_budgets
from alerts.analysis.verdicts import Status, from_json, to_json
from control_plane.cohort_names import Cohort
from control_plane.signal_counts import Counts
from tests.alerts.analysis.watched_cohorts import (
    AGAIN,
    ALL_ALERTS,
    CRITICAL,
    NEAR,
    PRO,
    REFUSED,
    RULES,
    START,
    STARTER,
    VARIANCE,
    WatchedCohorts,
)


def test_a_plan_whose_operations_all_fail_is_rolled_back_though_it_is_one_in_five_hundred() -> None:
    watched = WatchedCohorts()
    watched.add(PRO, 0, 24_990)
    watched.add(STARTER, 10, 10)
    verdict = watched.tick(10, 25_000)
    assert (verdict.status, verdict.attribution) == (Status.ROLLBACK, Attribution.CANDIDATE_ONLY)
    assert verdict.reason.startswith("All 10 operations of plan starter failed in v2. That is over the threshold")
    assert verdict.counts == Counts(10, 10)
    assert verdict.rollback_log10 is not None
    assert verdict.evidence_log10 >= verdict.rollback_log10


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        (CRITICAL, "40 of 50 operations near the limit failed in v2."),
        (VARIANCE, "40 of 50 operations near the limit were answered differently by v2."),
        (REFUSED, "40 of 50 operations near the limit were refused by v2 and granted by legacy."),
    ],
)
def test_the_cohort_is_named_in_words(rule: Rule, sentence: str) -> None:
    watched = WatchedCohorts(rule)
    watched.add(NEAR, 40, 50)
    assert watched.tick(0, 50_000).cohort == sentence


def test_an_alert_that_holds_at_most_holds_for_a_cohort_as_well() -> None:
    watched = WatchedCohorts(REFUSED)
    watched.add(STARTER, 20, 20)
    assert watched.tick(0, 50_000).status is Status.HOLD


def test_where_nobody_is_exposed_a_cohort_holds() -> None:
    watched = WatchedCohorts(exposed=False)
    watched.add(STARTER, 20, 20)
    verdict = watched.tick(0, 50_000)
    assert verdict.status is Status.HOLD
    assert "Nobody is exposed" in verdict.cause


def test_one_that_must_last_rolls_back_when_it_has_lasted() -> None:
    watched = WatchedCohorts(replace(CRITICAL, for_seconds=60))
    watched.add(STARTER, 20, 20)
    assert watched.tick(0, 50_000).status is Status.HOLD
    assert watched.tick(seconds=59).status is Status.HOLD
    assert watched.tick(seconds=2).status is Status.ROLLBACK


@pytest.mark.parametrize(("control", "what"), [(Counts(20, 20), "fails there as well"), (Counts(8, 20), "fails there")])
def test_what_legacy_fails_there_as_well_is_told_and_moves_nothing(control: Counts, what: str) -> None:
    watched = WatchedCohorts()
    watched.add(STARTER, 20, 20, control=control)
    verdict = watched.tick(20, 50_000)
    assert (verdict.status, verdict.notifies) == (Status.WATCH, True)
    assert what in verdict.cause
    assert verdict.evidence_log10 < 0.4, "the next step stays open"


@pytest.mark.parametrize("at_most", [Action.NOTIFY, Action.ROLLBACK])
def test_single_accounts_move_nothing_but_a_notice(at_most: Action) -> None:
    watched = WatchedCohorts()
    watched.add(Cohort("account", "3f2a…"), 500, 500, accounts=1 if at_most is Action.ROLLBACK else 9, at_most=at_most)
    verdict = watched.tick(1, 50_000)
    assert (verdict.status, verdict.notifies) == (Status.WATCH, True)
    assert verdict.cohort == "All 500 operations of account 3f2a… failed in v2."


def test_accounts_that_failed_before_hold_at_most() -> None:
    watched = WatchedCohorts()
    watched.add(AGAIN, 30, 30, at_most=Action.HOLD)
    verdict = watched.tick(50, 50_000)
    assert verdict.status is Status.HOLD
    assert verdict.cohort == "All 30 operations of accounts that had failed before failed in v2."


def test_a_hold_for_a_cohort_lasts_while_its_evidence_does_and_ends_with_it() -> None:
    watched = WatchedCohorts(REFUSED)
    watched.add(STARTER, 6, 30)
    assert watched.tick(6, 50_000).status is Status.HOLD
    watched.add(STARTER, 0, 500)
    assert watched.tick(0, 500, seconds=300).status is Status.HOLD
    statuses = []
    for _ in range(40):
        watched.add(STARTER, 0, 500)
        statuses.append(watched.tick(0, 500, seconds=300).status)
    assert statuses[-1] is Status.OK
    assert statuses == sorted(statuses, reverse=False), "it does not come and go"


def test_a_breach_of_all_names_the_cohort_that_explains_it_and_none_that_does_not() -> None:
    watched = WatchedCohorts()
    watched.add(STARTER, 30, 40)
    watched.add(PRO, 1, 60)
    assert watched.tick(31, 100).cohort == "30 of 40 operations of plan starter failed in v2."
    everywhere = WatchedCohorts()
    everywhere.add(STARTER, 12, 50)
    everywhere.add(PRO, 12, 50)
    verdict = everywhere.tick(24, 100)
    assert (verdict.status, verdict.cohort) == (Status.ROLLBACK, "")


def test_a_cohort_that_is_nearly_all_of_the_traffic_explains_nothing() -> None:
    watched = WatchedCohorts()
    watched.add(STARTER, 30, 450)
    watched.add(PRO, 0, 20)
    verdict = watched.tick(30, 470)
    assert (verdict.status, verdict.cohort) == (Status.ROLLBACK, "")


def test_what_was_counted_before_the_attempt_is_no_evidence_in_it() -> None:
    watched = WatchedCohorts()
    watched.add(STARTER, 50, 50)
    watched.weigh(begins=True)
    watched.memories = update(CRITICAL, {}, watched.counts, at=START, burst_size=1.0, begins=True)
    assert watched.tick(0, 50_000).status is Status.OK


def test_counters_that_were_reset_start_anew() -> None:
    watched = WatchedCohorts()
    watched.add(STARTER, 5, 100)
    watched.tick(5, 50_000)
    watched.counts[STARTER] = CohortCounts(Counts(1, 2), Counts(0, 2), 5)
    assert watched.memories[STARTER].evidence.counts == Counts(5, 100)
    watched.tick()
    assert watched.memories[STARTER].evidence.counts == Counts(5, 100)
    watched.add(STARTER, 1, 1)
    watched.tick()
    assert watched.memories[STARTER].evidence.counts == Counts(6, 101)


def test_good_outcomes_alone_are_weighed_once_a_window() -> None:
    watched = WatchedCohorts()
    watched.add(STARTER, 0, 10)
    watched.tick(0, 10)
    before = watched.memories
    watched.add(STARTER, 0, 10)
    watched.tick(0, 10)
    assert watched.memories is before, "nothing is to be stored"
    watched.add(STARTER, 1, 1)
    watched.tick(1, 1)
    assert watched.memories[STARTER].evidence.counts == Counts(1, 21), "and none is lost"


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("uvwxyz")), unique=True))
def test_all_cohorts_together_have_no_more_than_their_part(appearing: list[tuple[str, str]]) -> None:
    memories: Mapping[Cohort, CohortMemory] = {}
    counts = {}
    for dimension, name in appearing:
        counts[Cohort(dimension, name)] = CohortCounts(Counts(0, 1))
        memories = update(CRITICAL, memories, counts, at=START, burst_size=1.0, begins=False)
    budget = ALL_ALERTS[CRITICAL.name]
    own = [budget.of_cohort(memory.weight) for memory in memories.values()]
    whole = error_budgets([replace(rule, metric=replace(rule.metric, has_cohorts=False)) for rule in RULES.values()])
    together = fsum([budget.rollback or 0.0, *(each.rollback or 0.0 for each in own)])
    assert len(own) == len(appearing)
    assert together <= (whole[CRITICAL.name].rollback or 0.0) * (1 + 1e-12)
    holds = fsum([budget.hold or 0.0, *(each.hold or 0.0 for each in own)])
    assert holds <= (whole[CRITICAL.name].hold or 0.0) * (1 + 1e-12)


def test_memory_and_verdict_survive_storage() -> None:
    watched = WatchedCohorts()
    watched.add(AGAIN, 30, 30, control=Counts(1, 30), at_most=Action.HOLD)
    verdict = watched.tick(50, 50_000)
    memory = watched.memories[AGAIN]
    assert cohort_from_json(*cohort_to_json(memory)) == memory
    assert from_json(to_json(verdict)) == verdict


def test_a_verdict_from_before_there_were_cohorts_is_read() -> None:
    stored = to_json(WatchedCohorts().tick(0, 10))
    del stored["cohort"], stored["notifies"]
    assert from_json(stored).cohort == ""


@pytest.mark.parametrize("begins", [True, False])
def test_accounts_however_many_leave_room_for_a_plan(begins: bool) -> None:
    """Several hundred accounts with much traffic each are easily made, and come before all plans by name."""
    accounts = {
        Cohort("account", f"{number:08x}…"): CohortCounts(Counts(0, 30), accounts=1, at_most=Action.NOTIFY)
        for number in range(3 * COHORTS_MAX)
    }
    first = update(CRITICAL, {}, accounts, at=START, burst_size=1.0, begins=True)
    known = {} if begins else first
    found = update(
        CRITICAL, known, {**accounts, STARTER: CohortCounts(Counts(9, 9))}, at=START, burst_size=1.0, begins=begins
    )
    assert STARTER in found
    assert len(found) <= COHORTS_MAX


def test_a_tenant_who_comes_late_finds_room_after_those_who_come_no_more() -> None:
    early = {Cohort("account", f"a{number}"): of_account(0, 30) for number in range(COHORTS_MAX)}
    known = update(CRITICAL, {}, early, at=START, burst_size=1, begins=False)
    late = {Cohort("account", "late"): of_account(40, 40)}
    assert late.keys() & update(CRITICAL, known, early | late, at=START, burst_size=1, begins=False).keys() == set()
    found = update(CRITICAL, known, late, at=START, burst_size=1, begins=False)
    assert [each.evidence.counts for each in found.values()] == [Counts(40, 40)]


def of_account(bad: int, total: int) -> CohortCounts:
    return CohortCounts(Counts(bad, total), accounts=1, at_most=Action.NOTIFY)
