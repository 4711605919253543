"""What both engines promise, and that two independent implementations keep the same promise."""

import pytest
from hypothesis import given

from credits_engine.engines import legacy, v2
from credits_engine.engines.amounts import NOTHING, Amounts, Limits
from credits_engine.engines.comparison import contradictions
from credits_engine.engines.decisions import Book, Engine, Outcome, Request
from tests.credits_engine.examples import book, books, requests

both = pytest.mark.parametrize("decide", [legacy.decide, v2.decide], ids=["legacy", "v2"])


@both
@given(loaded=books, request=requests)
def test_the_answer_never_contradicts_the_book(decide: Engine, loaded: Book, request: Request) -> None:
    assert contradictions(decide(loaded, request), loaded, request.amounts) == []


@given(loaded=books, request=requests)
def test_on_one_and_the_same_book_the_engines_agree(loaded: Book, request: Request) -> None:
    one, other = legacy.decide(loaded, request), v2.decide(loaded, request)
    assert (one.outcome, one.charged, one.remaining) == (other.outcome, other.charged, other.remaining)


@both
def test_the_last_credit_is_granted_and_the_one_after_it_is_not(decide: Engine) -> None:
    request = Request("u1", Amounts(analysis=1))
    last = decide(book(used=Amounts(99, 0)), request)
    assert (last.outcome, last.charged, last.remaining["analysis"]) == (Outcome.ALLOWED, Amounts(1, 0), 0)
    over = decide(book(used=Amounts(100, 0)), request)
    assert (over.outcome, over.charged, over.remaining["analysis"]) == (Outcome.DENIED_LIMIT, NOTHING, 0)


@both
def test_a_mixed_operation_charges_both_kinds_or_none(decide: Engine) -> None:
    loaded = book(used=Amounts(0, 10))
    answer = decide(loaded, Request("u1", Amounts(5, 1)))
    assert (answer.outcome, answer.charged) == (Outcome.DENIED_LIMIT, NOTHING)
    assert "roast" in answer.reason
    assert decide(book(used=Amounts(0, 9)), Request("u1", Amounts(5, 1))).charged == Amounts(5, 1)


@both
def test_a_kind_past_its_limit_does_not_stop_the_other_kind(decide: Engine) -> None:
    answer = decide(book(used=Amounts(0, 14)), Request("u1", Amounts(analysis=1)))
    assert answer.outcome is Outcome.ALLOWED
    assert answer.remaining == Limits(99, 0)


@both
def test_unlimited_is_never_exhausted_and_zero_always_is(decide: Engine) -> None:
    limits = Limits(None, 0)
    huge = decide(book(used=Amounts(10**12, 0), limits=limits), Request("u1", Amounts(analysis=10**9)))
    assert (huge.outcome, huge.remaining["analysis"]) == (Outcome.ALLOWED, None)
    none = decide(book(limits=limits), Request("u1", Amounts(roast=1)))
    assert (none.outcome, none.remaining["roast"]) == (Outcome.DENIED_LIMIT, 0)


@both
def test_a_blocked_account_is_refused_for_its_state_and_not_for_its_limit(decide: Engine) -> None:
    answer = decide(book(used=Amounts(100, 10), blocked="Account u1 is frozen."), Request("u1", Amounts(1, 1)))
    assert (answer.outcome, answer.charged, answer.reason) == (Outcome.DENIED_STATE, NOTHING, "Account u1 is frozen.")


@both
def test_a_refusal_says_what_was_asked_and_when_there_is_more(decide: Engine) -> None:
    reason = decide(book(used=Amounts(98, 0)), Request("u1", Amounts(analysis=7))).reason
    assert "7 analysis" in reason
    assert "2027-04-01T00:00:00Z" in reason
