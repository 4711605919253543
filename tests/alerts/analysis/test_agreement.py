from dataclasses import replace

from alerts.analysis.agreement import Case, contradictions, judge_together
from alerts.analysis.attribution import Arms, Attribution, Pairs
from alerts.analysis.cohorts import CohortFinding
from alerts.analysis.evidence import Evidence
from alerts.analysis.judge_inputs import JudgeInputs
from alerts.analysis.rules import Action, ErrorBudget, Rule, rule_test
from alerts.analysis.sequential_test import step
from alerts.analysis.verdicts import Status
from alerts.definitions import parser
from control_plane.cohort_names import Cohort
from control_plane.signal_counts import Counts
from tests.alerts.analysis.guarded_flag import ALPHA, ERRORS, FAILURE, START, VARIANCE

(SERVING,) = parser.parse("alerts: {credit_serving_failure: {threshold: 1%, window: 5m, severity: critical}}")
BUDGET = ErrorBudget(rollback=ALPHA, hold=0.1)
BOTH = Pairs(decided=20, compared=20, candidate_only=0, control_only=0, control_failed=12)
V2_ALONE = replace(BOTH, candidate_only=12, control_failed=0)
SERVED = Arms(Counts(12, 20))


def case(rule: Rule, pairs: Pairs | None = None, arms: Arms = SERVED) -> Case:
    evidence = step(rule_test(rule), Evidence(), Counts(12, 20), at=START)
    return Case(rule, evidence, JudgeInputs(True, Counts(12, 20), pairs=pairs, arms=arms), BUDGET, None)


def test_an_alert_that_knows_nothing_says_what_the_engines_own_count_knows() -> None:
    for pairs, expected, words in (
        (BOTH, Attribution.SHARED, "legacy fails as well"),
        (V2_ALONE, Attribution.CANDIDATE_ONLY, "not for certain in the requests that v2 served"),
    ):
        _, errors = judge_together([case(FAILURE, pairs), case(ERRORS)], START)
        assert (errors.status, errors.attribution) == (Status.HOLD, expected)
        assert words in errors.cause


def test_while_both_engines_fail_no_part_of_the_traffic_rolls_back() -> None:
    evidence = step(rule_test(SERVING), Evidence(), Counts(12, 14), at=START)
    finding = CohortFinding(
        Cohort("plan", "plus"),
        evidence,
        BUDGET,
        Attribution.CANDIDATE_ONLY,
        accounts=9,
        at_most=Action.ROLLBACK,
        explains=False,
        lingers=True,
    )
    quiet = step(rule_test(SERVING), Evidence(), Counts(0, 400), at=START)
    plus = Case(SERVING, quiet, JudgeInputs(True, Counts(12, 14), cohort=finding), BUDGET, None)
    (alone,) = judge_together([plus], START)
    assert (alone.status, alone.attribution) == (Status.ROLLBACK, Attribution.CANDIDATE_ONLY)
    _, held = judge_together([case(FAILURE, BOTH), plus], START)
    assert (held.status, held.attribution) == (Status.HOLD, Attribution.SHARED)
    assert "legacy fails other requests as well" in held.cause


def test_alone_it_says_that_it_does_not_know() -> None:
    (errors,) = judge_together([case(ERRORS)], START)
    assert errors.attribution is Attribution.UNKNOWN
    assert contradictions(errors, [errors]) == ""


def test_what_the_whole_service_shows_excuses_no_failure_of_v2_and_is_told_beside_it() -> None:
    errors = case(ERRORS, arms=Arms(Counts(12, 20), Counts(6, 100)))
    both = judge_together([case(FAILURE), errors], START)
    assert [(each.status, each.attribution) for each in both] == [
        (Status.ROLLBACK, Attribution.UNKNOWN),
        (Status.HOLD, Attribution.SHARED),
    ]
    assert "api_error_rate says otherwise: Over its threshold, but legacy fails as well" in contradictions(
        both[0], both
    )


def test_who_charges_wrongly_says_nothing_about_who_fails() -> None:
    _, errors = judge_together([case(VARIANCE), case(ERRORS)], START)
    assert errors.attribution is Attribution.UNKNOWN


def test_an_alert_about_no_request_that_an_engine_served_knows_nothing_of_engines() -> None:
    _, errors = judge_together([case(FAILURE, BOTH), case(ERRORS, arms=Arms())], START)
    assert errors.attribution is Attribution.UNKNOWN
