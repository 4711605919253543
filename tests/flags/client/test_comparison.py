"""A comparison: the caller gets the serving side's answer, whatever the other does, and both are reported."""

import threading
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import Any

import pytest

from flags.client import comparison, shadow_threads
from flags.client.comparison import CANDIDATE, CONTROL, Comparison, Comparisons
from tests.flags.client.conftest import LIMIT_SECONDS, Results

Run = Callable[..., Any]


@pytest.fixture
def run(comparisons: Comparisons, results: Results) -> Run:
    """`run(candidate_serves, control=…, candidate=…)` is the answer and what is reported of it."""

    def run(candidate_serves: bool, **sides: Any) -> tuple[object, dict[str, Any]]:
        before = len(results)
        answer = comparisons.run("F", Comparison(**sides), candidate_serves=candidate_serves, key="ann")
        comparisons._shadows.wait()
        assert len(results) == before + 1
        return answer, results[-1]

    return run


@pytest.mark.parametrize(("candidate_serves", "served", "answer"), [(False, CONTROL, 1), (True, CANDIDATE, 2)])
def test_the_side_that_serves_answers_and_both_are_reported(
    run: Run, candidate_serves: bool, served: str, answer: int
) -> None:
    got, result = run(candidate_serves, control=lambda: 1, candidate=lambda: 2)
    assert got == answer
    assert (result["served"], result["equal"]) == (served, False)
    assert [result[side]["outcome"] for side in (CONTROL, CANDIDATE)] == ["answered", "answered"]
    assert result["account"] == comparison._account("ann")
    assert "ann" not in str(result)


def test_the_cohorts_of_a_request_are_reported(comparisons: Comparisons, results: Results) -> None:
    sides: Comparison[int] = Comparison(lambda: 1, lambda: 1)
    comparisons.run("F", sides, candidate_serves=False, key="ann", cohorts={"country": "N" * 100, "with a voucher": ""})
    comparisons._shadows.wait()
    assert results[-1]["cohorts"] == {"country": "N" * 64, "with a voucher": ""}


def test_a_comparison_may_say_the_type_of_its_answers() -> None:
    assert Comparison[int](lambda: 1, lambda: 2).control() == 1


@pytest.mark.parametrize("cohorts", [{"": "NO"}, {"c" * 33: "NO"}, {"account": "ann"}, dict.fromkeys("abcdefghi", "")])
def test_cohorts_that_would_be_refused_are_an_error_before_anything_runs(
    comparisons: Comparisons, results: Results, cohorts: dict[str, str]
) -> None:
    called: list[int] = []
    sides: Comparison[None] = Comparison(lambda: called.append(1), lambda: called.append(2))
    with pytest.raises(ValueError, match="cohort"):
        comparisons.run("F", sides, candidate_serves=False, key="ann", cohorts=cohorts)
    assert (called, results) == ([], [])


def fails(*_arguments: object) -> int:
    raise LookupError("no tier")


def exits(*_arguments: object) -> int:
    raise SystemExit(1)


@pytest.mark.parametrize("fault", [fails, exits])
@pytest.mark.parametrize("candidate_serves", [False, True])
def test_nothing_that_the_shadow_raises_reaches_the_caller(run: Run, fault: Run, candidate_serves: bool) -> None:
    sides = (
        {"control": fault, "candidate": lambda: 7} if candidate_serves else {"control": lambda: 7, "candidate": fault}
    )
    answer, result = run(candidate_serves, **sides)
    assert answer == 7
    shadow = CONTROL if candidate_serves else CANDIDATE
    assert (result[shadow]["outcome"], result["equal"]) == ("failed", None)


def test_what_the_serving_side_raises_is_the_callers_and_is_reported(
    comparisons: Comparisons, results: Results
) -> None:
    with pytest.raises(LookupError, match="no tier"):
        comparisons.run("F", Comparison(lambda: 1, fails), candidate_serves=True, key="ann")
    comparisons._shadows.wait()
    (result,) = results
    assert [result[side]["outcome"] for side in (CONTROL, CANDIDATE)] == ["answered", "failed"]


def test_neither_side_sees_what_the_other_does_to_the_arguments_and_the_caller_gets_its_own_back(run: Run) -> None:
    cart = {"tea": 3}
    _, result = run(
        False, control=lambda each: each.popitem()[1], candidate=lambda each: each["tea"], arguments=(cart,)
    )
    assert result["equal"] is True
    assert cart == {}, "the caller's own call changed it, as without a comparison"


def test_a_caller_that_changes_its_answer_changes_no_comparison(comparisons: Comparisons, results: Results) -> None:
    entered = threading.Event()

    def slow() -> list[int]:
        entered.wait(LIMIT_SECONDS)
        return [1]

    sides: Comparison[list[int]] = Comparison(lambda: [1], slow)
    answer = comparisons.run("F", sides, candidate_serves=False, key="ann")
    answer.append(2)
    entered.set()
    comparisons._shadows.wait()
    assert results[0]["equal"] is True


def test_arguments_that_can_not_be_copied_are_declared_or_the_shadow_is_skipped(run: Run) -> None:
    lock = threading.Lock()
    sides = {"control": lambda _lock: 1, "candidate": lambda _lock: 1}
    _, skipped = run(False, **sides, arguments=(lock,))
    assert (skipped[CANDIDATE]["outcome"], skipped["equal"]) == ("skipped", None)
    _, declared = run(False, **sides, arguments=(lock,), copy=lambda same: same)
    assert declared["equal"] is True


def test_a_shadow_that_hangs_delays_nobody_is_given_up_and_is_replaced(
    comparisons: Comparisons, results: Results
) -> None:
    released = threading.Event()

    def hangs() -> int:
        released.wait()
        return 1

    # More than there are threads, so that answers of others afterwards prove that new threads took over.
    for _ in range(shadow_threads.THREADS + 1):
        assert comparisons.run("F", Comparison(lambda: 1, hangs), candidate_serves=False, key="ann") == 1
    comparisons._shadows.wait()
    comparisons._shadows.wait()
    assert [result[CANDIDATE] for result in results] == [
        {"outcome": "failed", "durationUs": LIMIT_SECONDS * 1_000_000}
    ] * (shadow_threads.THREADS + 1)
    comparisons.run("F", Comparison(lambda: 1, lambda: 1), candidate_serves=False, key="ann")
    comparisons._shadows.wait()
    assert results[-1]["equal"] is True
    released.set()
    assert len(results) == shadow_threads.THREADS + 2, "what ends too late is reported once"


def test_beyond_what_may_wait_shadows_are_skipped_and_every_caller_is_answered(
    monkeypatch: pytest.MonkeyPatch, results: Results
) -> None:
    monkeypatch.setattr(shadow_threads, "WAITING_MAX", 3)
    comparisons, released = Comparisons("http://127.0.0.1:9", "-", 30), threading.Event()
    sides: Comparison[int] = Comparison(lambda: 1, lambda: released.wait() and 1)
    for _ in range(20):
        assert comparisons.run("F", sides, candidate_serves=False, key="ann") == 1
    released.set()
    comparisons.close()
    outcomes = [result[CANDIDATE]["outcome"] for result in results]
    assert len(outcomes) == 20
    assert outcomes.count("skipped") >= 20 - 3 - shadow_threads.THREADS - 1
    assert "answered" in outcomes


def test_an_answer_that_can_not_be_compared_is_not_compared(run: Run) -> None:
    def broken(_one: int, _other: int) -> bool:
        raise TypeError("no order")

    assert run(False, control=lambda: 1, candidate=lambda: 1, equal=broken)[1]["equal"] is None


async def later() -> int:
    return 1


def test_a_coroutine_function_is_refused_before_anything_runs(comparisons: Comparisons, results: Results) -> None:
    for sides in ((later, lambda: 1), (lambda: 1, partial(later))):
        with pytest.raises(TypeError, match="coroutine function"):
            comparisons.run("F", Comparison(*sides), candidate_serves=False, key="ann")
    assert results == []


def test_a_shadow_that_only_promises_an_answer_has_failed(run: Run) -> None:
    """It has not run: counted as an answer, it would say that a broken candidate works."""
    for promised in (promise, iter_once):
        answer, result = run(False, control=lambda: 1, candidate=promised)
        assert (answer, result[CANDIDATE]["outcome"], result["equal"]) == (1, "failed", None)


def test_an_answer_that_is_only_promised_reaches_the_caller_and_no_report(
    comparisons: Comparisons, results: Results
) -> None:
    sides: Comparison[Any] = Comparison(iter_once, lambda: 1)
    assert [*comparisons.run("F", sides, candidate_serves=False, key="ann")] == [1]
    assert results == []


def promise() -> Coroutine[Any, Any, int]:
    return later()


def iter_once() -> Iterator[int]:
    yield 1
