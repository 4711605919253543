from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from credits_engine.engines import legacy, v2
from credits_engine.engines.amounts import Amounts, Limits
from credits_engine.engines.comparison import REFERENCE, Comparison, Variance, compare
from credits_engine.engines.decisions import Book, Decision, EngineName, Outcome, Request
from credits_engine.engines.observation import Observation
from tests.credits_engine.examples import CYCLE, MONTH, book, books, requests

ONE = Request("u1", Amounts(analysis=1))
TWO_ROASTS = Request("u1", Amounts(roast=2))


def observation_of(engine: EngineName, loaded: Book, request: Request) -> Observation:
    return Observation(engine, REFERENCE[engine](loaded, request))


def served_and_shadow(served: Book, shadow: Book, request: Request, **v2: Any) -> Comparison:
    """Legacy serves and v2 shadows; `v2` replaces fields of v2's answer."""
    candidate = observation_of(EngineName.V2, shadow, request)
    assert candidate.decision is not None
    candidate = Observation(EngineName.V2, replace(candidate.decision, **v2))
    return compare(
        observation_of(EngineName.LEGACY, served, request),
        candidate,
        served_book=served,
        shadow_book=shadow,
        request=request,
    )


def test_equal_answers_match() -> None:
    assert served_and_shadow(book(), book(), ONE) == Comparison(Variance.MATCH)


def test_the_same_verdict_over_different_limits_matches() -> None:
    assert served_and_shadow(book(limits=Limits(100, 50)), book(), ONE).variance is Variance.MATCH


@given(served=books, shadow=books, request=requests)
def test_correct_engines_are_never_called_defective(served: Book, shadow: Book, request: Request) -> None:
    shadow = replace(shadow, bought=served.bought)  # packs belong to both books
    for name in EngineName:
        found = compare(
            observation_of(name, served, request),
            observation_of(name.other, shadow, request),
            served_book=served,
            shadow_book=shadow,
            request=request,
        )
        assert found.variance in (Variance.MATCH, Variance.POLICY)
        assert bool(found.cause) == (found.variance is Variance.POLICY)


@given(loaded=books, request=requests)
def test_calibration_of_an_engine_against_itself_finds_nothing(loaded: Book, request: Request) -> None:
    answer = observation_of(EngineName.LEGACY, loaded, request)
    assert compare(answer, answer, served_book=loaded, shadow_book=loaded, request=request).variance is Variance.MATCH


def test_another_limit_table_is_named_as_the_cause() -> None:
    served = book(used=Amounts(0, 9), limits=Limits(100, 50))
    shadow = book(used=Amounts(0, 9), limits=Limits(100, 10))
    assert served_and_shadow(served, shadow, TWO_ROASTS) == Comparison(Variance.POLICY, "policy:limit_table")


def test_another_window_is_named_as_the_cause() -> None:
    served, shadow = book(used=Amounts(0, 2)), replace(book(used=Amounts(0, 9)), period=CYCLE)
    assert served_and_shadow(served, shadow, TWO_ROASTS) == Comparison(Variance.POLICY, "policy:window")


def test_causes_that_are_only_enough_together_are_named_together() -> None:
    served = book(used=Amounts(0, 3), limits=Limits(100, 50))
    shadow = replace(book(used=Amounts(0, 60), limits=Limits(100, 4)), period=CYCLE)
    assert served_and_shadow(served, shadow, TWO_ROASTS) == Comparison(Variance.POLICY, "policy:limit_table+window")


def test_causes_of_which_each_is_enough_are_named_as_alternatives() -> None:
    served = book(used=Amounts(0, 1), limits=Limits(100, 50))
    shadow = replace(book(used=Amounts(0, 9), limits=Limits(100, 10)), period=CYCLE)
    assert served_and_shadow(served, shadow, TWO_ROASTS) == Comparison(Variance.POLICY, "policy:limit_table|window")


def test_a_subscription_state_that_only_one_engine_knows_is_policy() -> None:
    found = served_and_shadow(book(), book(blocked="Payment is overdue."), ONE)
    assert found == Comparison(Variance.POLICY, "policy:state")


@pytest.mark.parametrize(
    ("wrong", "cause"),
    [
        ({"charged": Amounts(2, 0), "remaining": Limits(98, 10)}, "v2:charge"),
        ({"charged": Amounts(0, 0), "remaining": Limits(100, 10)}, "v2:charge"),
        ({"used": Amounts(7, 0), "remaining": Limits(92, 10)}, "v2:used"),
        ({"limits": Limits(50, 10), "remaining": Limits(49, 10)}, "v2:limit"),
        ({"period": CYCLE}, "v2:period"),
        ({"remaining": Limits(100, 10)}, "v2:remaining"),
        (
            {"outcome": Outcome.DENIED_LIMIT, "charged": Amounts(), "remaining": Limits(100, 10)},
            "v2:arithmetic",
        ),
        ({"outcome": Outcome.DENIED_STATE, "charged": Amounts(), "remaining": Limits(100, 10)}, "v2:state"),
    ],
)
def test_an_answer_that_contradicts_its_figures_is_a_defect(wrong: dict[str, object], cause: str) -> None:
    assert served_and_shadow(book(), book(), ONE, **wrong) == Comparison(Variance.DEFECT, cause)


def test_a_grant_past_the_limit_is_a_defect_even_where_the_other_engine_grants_too() -> None:
    served = book(used=Amounts(0, 9), limits=Limits(100, 50))
    shadow = book(used=Amounts(0, 9), limits=Limits(100, 10))
    wrong = {"outcome": Outcome.ALLOWED, "charged": Amounts(0, 2), "remaining": Limits(100, 0)}
    assert served_and_shadow(served, shadow, TWO_ROASTS, **wrong) == Comparison(Variance.DEFECT, "v2:arithmetic")


def test_a_defect_of_the_served_engine_counts_as_well() -> None:
    good, bad = observation_of(EngineName.LEGACY, book(), ONE), observation_of(EngineName.V2, book(), ONE)
    assert isinstance(bad.decision, Decision)
    bad = Observation(EngineName.V2, replace(bad.decision, charged=Amounts(2, 0)))
    found = compare(bad, good, served_book=book(), shadow_book=book(), request=ONE)
    assert found.variance is Variance.DEFECT
    assert "v2:charge" in found.cause


def test_without_two_answers_there_is_nothing_to_compare() -> None:
    fine = Observation(EngineName.LEGACY, legacy.decide(book(), ONE))
    failed = Observation(EngineName.V2, None, "ValueError: no")
    books: dict[str, Any] = {"served_book": book(), "shadow_book": book(), "request": ONE}
    assert compare(fine, failed, **books) == Comparison(Variance.SHADOW_ERROR, "ValueError: no")
    assert compare(failed, fine, **books) == Comparison(Variance.SERVED_ERROR, "ValueError: no")
    assert compare(failed, failed, **books).variance is Variance.SERVED_ERROR
    assert compare(fine, Observation.skip(EngineName.V2), **books) == Comparison(Variance.SHADOW_SKIPPED)


def test_the_window_of_the_example_periods_differs() -> None:
    assert MONTH != CYCLE
    assert v2.decide(replace(book(), period=CYCLE), ONE).period == CYCLE
