"""Alerts whose outcomes don't say which engine failed: they hold, unless the engines' own counts blame v2."""

from dataclasses import replace

import pytest

from alerts.analysis.attribution import Arms, Attribution, Pairs
from alerts.analysis.metrics import METRICS
from alerts.analysis.rules import Rule
from alerts.analysis.verdicts import Status
from alerts.definitions.explanation import explain
from alerts.definitions.parser import parse
from control_plane.signal_counts import Counts
from tests.alerts.analysis.guarded_flag import DRIFT, ERRORS, FAILURE, SLOW, VARIANCE, GuardedFlag

HEALTHY = Pairs(decided=100, compared=100, candidate_only=0, control_only=0, control_failed=0)
ANOTHER = parse("alerts:\n  ours: {threshold: 1%, window: 5m, severity: critical, metric: ours_of_our_own}\n")[0]


@pytest.mark.parametrize("rule", [ERRORS, SLOW])
@pytest.mark.parametrize("pairs", [None, HEALTHY, replace(HEALTHY, compared=10, candidate_only=9)])
def test_a_breach_that_blames_nobody_holds_and_says_so(rule: Rule, pairs: Pairs | None) -> None:
    guarded = GuardedFlag(rule)
    guarded.pairs = pairs
    verdict = guarded.tick(50, 100)
    assert (verdict.status, verdict.attribution) == (Status.HOLD, Attribution.UNKNOWN)
    assert verdict.cause == "Over its threshold, but it can't tell v2 from legacy and nothing else blames v2."


def test_it_rolls_back_while_v2_fails_alone() -> None:
    guarded = GuardedFlag(ERRORS)
    guarded.pairs, guarded.served_counts = replace(HEALTHY, candidate_only=12), Counts(12, 50)
    assert guarded.tick(12, 100).status is Status.ROLLBACK


@pytest.mark.parametrize(
    ("candidate_only", "control_only", "control_failed", "expected"),
    [
        (0, 12, 12, Attribution.CONTROL),
        (2, 3, 3, Attribution.CONTROL),
        (0, 0, 12, Attribution.SHARED),
        (12, 11, 11, Attribution.UNKNOWN),
        (1, 0, 0, Attribution.UNKNOWN),
    ],
)
def test_it_holds_where_legacy_fails_as_well_or_v2_hardly(
    candidate_only: int, control_only: int, control_failed: int, expected: Attribution
) -> None:
    guarded = GuardedFlag(ERRORS)
    guarded.pairs = Pairs(100, 100, candidate_only, control_only, control_failed)
    verdict = guarded.tick(20, 100)
    assert (verdict.status, verdict.attribution) == (Status.HOLD, expected)


@pytest.mark.parametrize(
    ("v2", "legacy", "expected"),
    [
        (Counts(5, 10), Counts(0, 90), Attribution.CANDIDATE_ONLY),
        (Counts(10, 50), Counts(0, 50), Attribution.CANDIDATE_ONLY),
        (Counts(1, 10), Counts(9, 90), Attribution.SHARED),
        (Counts(5, 10), Counts(9, 90), Attribution.SHARED),
        (Counts(0, 10), Counts(9, 90), Attribution.CONTROL),
        (Counts(9, 100), Counts(), Attribution.UNKNOWN),
        (Counts(1, 10), Counts(0, 90), Attribution.UNKNOWN),
    ],
)
def test_answers_of_requests_that_v2_served_are_held_against_those_that_legacy_served(
    v2: Counts, legacy: Counts, expected: Attribution
) -> None:
    guarded = GuardedFlag(ERRORS)
    guarded.pairs, guarded.arms = HEALTHY, Arms(v2, legacy)
    assert guarded.tick(20, 100).attribution is expected


@pytest.mark.parametrize("pairs", [replace(HEALTHY, candidate_only=5, control_only=6, control_failed=6), None])
def test_v2s_own_failures_hold_while_legacy_fails_more(pairs: Pairs | None) -> None:
    guarded = GuardedFlag(FAILURE)
    guarded.pairs, guarded.arms = pairs, Arms(Counts(10, 100), Counts(20, 100))
    verdict = guarded.tick(10, 100)
    assert (verdict.status, verdict.attribution) == (Status.HOLD, Attribution.CONTROL)


@pytest.mark.parametrize("rule", [VARIANCE, DRIFT])
def test_legacys_own_defects_hold_and_name_it(rule: Rule) -> None:
    guarded = GuardedFlag(rule)
    guarded.control_faults = Counts(30, 100)
    verdict = guarded.tick(0, 100)
    assert (verdict.status, verdict.attribution) == (Status.HOLD, Attribution.CONTROL)
    assert verdict.cause.startswith("Legacy is at fault in 30 of 100 (30%) in the last 5m.")


def test_a_signal_of_somebodys_own_acts_as_its_author_wrote() -> None:
    assert GuardedFlag(ANOTHER).tick(20, 100).status is Status.ROLLBACK


def test_a_tripwire_on_what_cannot_tell_the_engines_apart_holds() -> None:
    assert GuardedFlag(replace(ERRORS, threshold=0.0)).tick(1, 1).status is Status.HOLD


def test_each_measurement_of_the_platform_and_of_billing_is_known_not_to_tell_the_engines_apart() -> None:
    ours = [name for name in METRICS if name.startswith(("api_", "database_", "billing_", "plan_", "credit_reset_"))]
    notifying = {"billing_delivery_failure", "billing_event_missed", "billing_signature_failure"}
    tells = {"billing_applied_twice", "billing_reset_twice", *notifying}
    assert {name for name in ours if not METRICS[name].engine_unknown} == tells
    assert all(METRICS[name].notifies_only for name in notifying), "strangers can send deliveries that nobody signed"


def test_an_explanation_says_that_it_can_not_tell_them_apart() -> None:
    assert any("can't tell v2 from legacy" in line for line in explain(ERRORS, [ERRORS]))
    assert not any("can't tell v2 from legacy" in line for line in explain(FAILURE, [FAILURE]))


def test_requests_that_no_flag_routed_hold_at_most_however_certain_v2s_fault_is() -> None:
    guarded = GuardedFlag(ERRORS)
    guarded.pairs = replace(HEALTHY, candidate_only=12)
    verdict = guarded.tick(50, 100)
    assert (verdict.status, verdict.attribution) == (Status.HOLD, Attribution.CANDIDATE_ONLY)
    assert verdict.cause == "Over its threshold, but not for certain in the requests that v2 served."


def test_requests_that_v2_served_roll_back_however_few_they_are_among_all() -> None:
    guarded = GuardedFlag(ERRORS)
    guarded.arms, guarded.served_counts = Arms(Counts(3, 3), Counts(0, 997)), Counts(3, 3)
    verdict = guarded.tick(3, 1000)
    assert (verdict.status, verdict.attribution) == (Status.ROLLBACK, Attribution.CANDIDATE_ONLY)
    assert (verdict.counts, verdict.window) == (Counts(3, 3), Counts(3, 3))
    assert verdict.rollback_log10 is not None
    assert verdict.evidence_log10 >= verdict.rollback_log10
