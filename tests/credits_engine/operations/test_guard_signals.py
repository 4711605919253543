from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from alerts.analysis.metrics import METRICS
from control_plane.platform.observability.signals import Sample
from credits_engine.engines.amounts import Amounts, Limits
from credits_engine.engines.comparison import Variance
from credits_engine.engines.decisions import Book, Decision, Engine, Outcome, Request
from credits_engine.engines.legacy import decide
from credits_engine.engines.plans import CATALOGUE
from credits_engine.engines.receipts import Receipt, replayed
from credits_engine.operations import guard_signals
from credits_engine.operations.account_books import Books
from credits_engine.operations.consumption import EnginePolicy, Engines, Operation, run_experiment
from credits_engine.operations.guard_signals import (
    ALLOWED_ALONE,
    ANSWER_DIFFERS,
    REFUSED_ALONE,
    SHADOW_SKIPPED,
    SHADOW_SLOW,
    SLOW,
    exempt_signals,
    retry_signal,
)
from tests.credits_engine.conftest import LEGACY_SERVES, V2_SERVES
from tests.credits_engine.examples import NOW, asked, book, books

SLOWER = "credit_slower_by_v2_only"
OPERATION = Operation("ada", "k1", Amounts(analysis=3))
BESIDES = (SLOWER, SHADOW_SKIPPED, SLOW, SHADOW_SLOW, REFUSED_ALONE, ALLOWED_ALONE, ANSWER_DIFFERS)


def failing(_book: Book, _request: Request) -> Decision:
    raise ValueError


def free(loaded: Book, request: Request) -> Decision:
    return replace(decide(loaded, request), charged=Amounts())


def one_too_many(loaded: Book, request: Request) -> Decision:
    decision = decide(loaded, request)
    return replace(decision, charged=decision.charged + Amounts(analysis=1))


def receipt(
    *, v2_serves: bool, operation: Operation = OPERATION, loaded: Book | None = None, **engines: Engine
) -> Receipt:
    both = Books(loaded or book(), loaded or book())
    evaluation = V2_SERVES if v2_serves else LEGACY_SERVES
    return run_experiment(
        operation, both, evaluation=evaluation, now=NOW, policy=EnginePolicy(engines=Engines(**engines))
    )


def observations(one: Receipt) -> tuple[Sample, ...]:
    """Return the signals that decide about v2, without what is counted besides and without cohorts."""
    found = (signal for signal in guard_signals.outcome_signals(one) if signal.signal not in BESIDES)
    return tuple(signal._replace(cohorts=()) for signal in found)


def allowing(loaded: Book, request: Request) -> Decision:
    return replace(decide(loaded, request), outcome=Outcome.ALLOWED, charged=request.amounts)


def refusing(loaded: Book, request: Request) -> Decision:
    decision = decide(loaded, request)
    return replace(decision, outcome=Outcome.DENIED_LIMIT, charged=Amounts())


def bad(signals: tuple[Sample, ...]) -> set[tuple[str, str, str]]:
    return {(signal.signal, signal.engine, signal.role) for signal in signals if signal.bad}


def test_a_good_operation_is_counted_for_both_engines_and_for_their_comparison() -> None:
    assert observations(receipt(v2_serves=True)) == (
        Sample("credit_serving_failure", False, "v2", "served", "ada"),
        Sample("credit_consumption_failure", False, "v2", "served", "ada"),
        Sample("credit_consumption_failure", False, "legacy", "shadow", "ada"),
        Sample("credit_variance", False, account="ada"),
        Sample("credit_drift", False, account="ada"),
    )


def test_a_refusal_is_no_failure() -> None:
    refused = receipt(v2_serves=True, operation=replace(OPERATION, amounts=Amounts(analysis=101)))
    assert bad(observations(refused)) == set()


@pytest.mark.parametrize(
    ("v2_serves", "engines", "expected"),
    [
        (
            True,
            ("v2",),
            {
                ("credit_serving_failure", "v2", "served"),
                ("credit_consumption_failure", "v2", "served"),
                ("credit_failure_v2_only", "", "served"),
            },
        ),
        (False, ("v2",), {("credit_consumption_failure", "v2", "shadow"), ("credit_failure_v2_only", "", "served")}),
        (
            True,
            ("legacy",),
            {("credit_consumption_failure", "legacy", "shadow"), ("credit_failure_legacy_only", "", "served")},
        ),
        (
            True,
            ("legacy", "v2"),
            {
                ("credit_serving_failure", "v2", "served"),
                ("credit_consumption_failure", "v2", "served"),
                ("credit_consumption_failure", "legacy", "shadow"),
            },
        ),
    ],
)
def test_a_failure_is_told_by_engine_and_role_and_whether_it_failed_alone(
    v2_serves: bool, engines: tuple[str, ...], expected: set[tuple[str, str, str]]
) -> None:
    replaced: dict[str, Any] = dict.fromkeys(engines, failing)
    found = observations(receipt(v2_serves=v2_serves, **replaced))
    assert bad(found) == expected
    assert not any(signal.signal == "credit_variance" for signal in found)


def test_a_defect_of_either_role_is_a_bad_variance_and_drifts() -> None:
    for v2_serves in (True, False):
        assert bad(observations(receipt(v2_serves=v2_serves, v2=free))) == {
            ("credit_variance", "", "served"),
            ("credit_drift", "", "served"),
        }


def test_charges_drift_as_often_as_they_differ() -> None:
    operations = [Operation("ada", f"k{number}", Amounts(analysis=10)) for number in range(2000)]

    found = [observations(receipt(v2_serves=True, operation=operation, v2=one_too_many)) for operation in operations]

    drifted = sum(("credit_drift", "", "served") in bad(signals) for signals in found)
    assert 150 < drifted < 250
    assert observations(receipt(v2_serves=False, operation=operations[0], v2=one_too_many))[-1] == found[0][-1]


def test_what_legacy_would_not_charge_for_drifts_nowhere() -> None:
    found = observations(receipt(v2_serves=True, legacy=free))

    assert not any(signal.signal == "credit_drift" for signal in found)


@given(loaded=books, amounts=asked)
def test_correct_engines_never_give_a_bad_signal(loaded: Book, amounts: Amounts) -> None:
    for v2_serves in (True, False):
        operation = Operation("ada", "k1", amounts)
        assert bad(observations(receipt(v2_serves=v2_serves, operation=operation, loaded=loaded))) == set()


def test_replays_and_retries_count_nothing_again() -> None:
    one = receipt(v2_serves=True, v2=failing)
    assert observations(replayed(one)) == ()
    assert observations(replace(one, retry_of=7)) == ()


def test_an_operation_owes_a_count_and_a_comparison_unless_it_failed_or_was_counted_before() -> None:
    def owes_not(one: Receipt) -> set[str]:
        return {signal.signal for signal in exempt_signals(one)}

    good, failed = receipt(v2_serves=True), receipt(v2_serves=True, v2=failing)
    assert owes_not(good) == set()
    assert owes_not(failed) == {"credit_outcome_missing", "credit_comparison_missing"}
    assert owes_not(receipt(v2_serves=True, legacy=failing)) == {"credit_comparison_missing"}
    assert owes_not(replace(good, retry_of=7)) == {"credit_outcome_missing", "credit_comparison_missing"}
    assert owes_not(replayed(failed)) == set()


def test_a_shadow_that_was_not_asked_or_failed_is_no_comparison() -> None:
    cases: tuple[tuple[dict[str, Any], bool], ...] = (({}, False), ({"legacy": failing}, True))
    for engines, missing in cases:
        found = guard_signals.outcome_signals(receipt(v2_serves=True, **engines))
        assert [signal.bad for signal in found if signal.signal == SHADOW_SKIPPED] == [missing]


def test_a_verdict_that_v2_alone_turns_round_is_told_by_whom_it_harms() -> None:
    refused = bad(guard_signals.outcome_signals(receipt(v2_serves=True, v2=refusing)))
    assert (REFUSED_ALONE, "", "served") in refused
    assert (ALLOWED_ALONE, "", "served") not in refused
    empty = replace(book(), limits=Limits(0, 0))
    allowed = bad(guard_signals.outcome_signals(receipt(v2_serves=True, v2=allowing, loaded=empty)))
    assert (ALLOWED_ALONE, "", "served") in allowed
    assert (REFUSED_ALONE, "", "served") not in allowed


def test_what_legacy_alone_does_wrong_counts_under_its_own_name() -> None:
    for v2_serves in (True, False):
        found = bad(guard_signals.outcome_signals(receipt(v2_serves=v2_serves, legacy=refusing)))
        assert {name for _, name, _ in found} == {"legacy"}
        both = bad(guard_signals.outcome_signals(receipt(v2_serves=v2_serves, legacy=one_too_many, v2=one_too_many)))
        assert ("credit_variance", "", "served") in both, "what v2 does wrong as well is v2's"


def test_an_engine_that_takes_its_time_is_slow() -> None:
    quick = receipt(v2_serves=True)
    slow = replace(quick, served=replace(quick.served, duration_us=60_000))
    assert (SLOW, "v2", "served") in bad(guard_signals.outcome_signals(slow))
    assert (SLOW, "legacy", "shadow") not in bad(guard_signals.outcome_signals(slow))


@pytest.mark.parametrize(
    ("v2_us", "legacy_us", "expected"),
    [(1_999, 999, False), (2_001, 1_000, True), (10_000, 9_000, False), (12_600, 10_000, True), (1_000, 9_000, False)],
)
@pytest.mark.parametrize("v2_serves", [True, False])
def test_v2_is_slower_than_legacy_by_a_quarter_and_by_a_millisecond(
    v2_us: int, legacy_us: int, expected: bool, v2_serves: bool
) -> None:
    one = receipt(v2_serves=v2_serves)
    served, shadow = (v2_us, legacy_us) if v2_serves else (legacy_us, v2_us)
    one = replace(one, served=replace(one.served, duration_us=served), shadow=replace(one.shadow, duration_us=shadow))
    assert [signal.bad for signal in guard_signals.outcome_signals(one) if signal.signal == SLOWER] == [expected]


@pytest.mark.parametrize(("duration_us", "is_slow"), [(5_000, False), (5_001, True)])
def test_a_shadow_that_callers_may_notice_is_slow(duration_us: int, is_slow: bool) -> None:
    quick = receipt(v2_serves=True)
    one = replace(quick, shadow=replace(quick.shadow, duration_us=duration_us))
    assert [signal.bad for signal in guard_signals.outcome_signals(one) if signal.signal == SHADOW_SLOW] == [is_slow]


def test_answers_differ_by_their_status_whether_that_was_declared_or_not() -> None:
    def differs(one: Receipt) -> list[bool]:
        return [signal.bad for signal in guard_signals.outcome_signals(one) if signal.signal == ANSWER_DIFFERS]

    used_up = replace(book(), used=Amounts(analysis=100))
    assert differs(receipt(v2_serves=True)) == [False]
    assert differs(receipt(v2_serves=True, loaded=used_up)) == [False]
    assert differs(receipt(v2_serves=True, v2=refusing)) == [True]
    assert differs(receipt(v2_serves=True, v2=failing)) == []
    declared = run_experiment(OPERATION, Books(used_up, book()), evaluation=V2_SERVES, now=NOW)
    assert (declared.comparison.variance, declared.outcome) == (Variance.POLICY, Outcome.ALLOWED)
    assert differs(declared) == [True]


def test_every_replay_and_every_new_try_was_asked_before() -> None:
    one = receipt(v2_serves=True)
    assert [retry_signal(each).bad for each in (one, replayed(one), replace(one, retry_of=7))] == [False, True, True]


def cohorts(loaded: Book, amounts: Amounts, *, v2_serves: bool = True) -> set[str]:
    found = guard_signals.cohorts_of(
        receipt(v2_serves=v2_serves, operation=Operation("ada", "k1", amounts), loaded=loaded)
    )
    return {" ".join(cohort).strip() for cohort in found}


@pytest.mark.parametrize("v2_serves", [True, False])
def test_an_operation_belongs_to_its_plan_its_kinds_and_perhaps_to_those_near_a_limit(v2_serves: bool) -> None:
    limits = CATALOGUE.plan("starter").legacy
    limit = limits["analysis"]
    assert limit is not None
    fresh = book(Amounts(), limits)
    assert cohorts(fresh, Amounts(analysis=1), v2_serves=v2_serves) == {"plan starter", "kind analysis"}
    assert cohorts(fresh, Amounts(analysis=1, roast=1), v2_serves=v2_serves) >= {"kind analysis", "kind roast"}
    nearly = book(Amounts(analysis=limit * 9 // 10), limits)
    assert "near the limit" in cohorts(nearly, Amounts(analysis=1), v2_serves=v2_serves)
    assert "near the limit" not in cohorts(nearly, Amounts(roast=1), v2_serves=v2_serves), "of another kind"


def test_limits_of_no_plan_name_none() -> None:
    assert cohorts(book(Amounts(), Limits(123, None)), Amounts(analysis=1)) == {"kind analysis"}


def test_every_sample_that_an_alert_with_cohorts_reads_names_them() -> None:
    read = {metric.signal for metric in METRICS.values() if metric.has_cohorts}
    samples = [each for each in guard_signals.outcome_signals(receipt(v2_serves=True)) if each.signal in read]
    assert {each.signal for each in samples} == read
    assert all(each.cohorts and each.account for each in samples)
