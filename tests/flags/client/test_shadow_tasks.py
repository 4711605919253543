"""A comparison of coroutine functions: isolated as in threads, in the event loop that their resources belong to."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from flags.client import connection, shadow_tasks
from flags.client.comparison import CANDIDATE, CONTROL, Comparison, Comparisons
from tests.flags.client.conftest import LIMIT_SECONDS, Results

WHO: ContextVar[str] = ContextVar("who", default="nobody")
Answer = Callable[..., Awaitable[Any]]


@pytest.fixture
def run(comparisons: Comparisons, results: Results) -> Callable[..., tuple[object, dict[str, Any]]]:
    """`run(candidate_serves, control=…, candidate=…)` is the answer and what is reported of it."""

    async def compared(candidate_serves: bool, sides: dict[str, Any]) -> object:
        answer = await comparisons.run_async("F", Comparison(**sides), candidate_serves=candidate_serves, key="ann")
        await comparisons._tasks.wait()
        return answer

    def run(candidate_serves: bool, **sides: Any) -> tuple[object, dict[str, Any]]:
        answer = asyncio.run(compared(candidate_serves, sides))
        assert len(results) == 1
        return answer, results[0]

    return run


def gives(answer: object) -> Answer:
    async def give(*_arguments: object) -> object:
        await asyncio.sleep(0)
        return answer

    return give


async def fails(*_arguments: object) -> int:
    raise LookupError("no tier")


async def exits(*_arguments: object) -> int:
    raise SystemExit(1)


async def cancels_itself(*_arguments: object) -> int:
    raise asyncio.CancelledError


@pytest.mark.parametrize(("candidate_serves", "served", "answer"), [(False, CONTROL, 1), (True, CANDIDATE, 2)])
def test_the_side_that_serves_answers_and_both_are_reported(
    run: Callable[..., Any], candidate_serves: bool, served: str, answer: int
) -> None:
    got, result = run(candidate_serves, control=gives(1), candidate=gives(2))
    assert (got, result["served"], result["equal"]) == (answer, served, False)
    assert [result[side]["outcome"] for side in (CONTROL, CANDIDATE)] == ["answered", "answered"]


@pytest.mark.parametrize("fault", [fails, exits, cancels_itself])
@pytest.mark.parametrize("candidate_serves", [False, True])
def test_nothing_that_the_shadow_raises_reaches_the_caller_or_the_event_loop(
    run: Callable[..., Any], fault: Answer, candidate_serves: bool
) -> None:
    good, shadow = gives(7), CONTROL if candidate_serves else CANDIDATE
    sides = {"control": fault, "candidate": good} if candidate_serves else {"control": good, "candidate": fault}
    answer, result = run(candidate_serves, **sides)
    assert (answer, result[shadow]["outcome"], result["equal"]) == (7, "failed", None)


def test_what_the_serving_side_raises_is_the_callers(comparisons: Comparisons, results: Results) -> None:
    async def ask() -> None:
        with pytest.raises(LookupError, match="no tier"):
            await comparisons.run_async("F", Comparison(gives(1), fails), candidate_serves=True, key="ann")
        await comparisons._tasks.wait()

    asyncio.run(ask())
    assert [results[0][side]["outcome"] for side in (CONTROL, CANDIDATE)] == ["answered", "failed"]


def test_neither_side_sees_what_the_other_does_to_the_arguments(run: Callable[..., Any]) -> None:
    async def takes(cart: dict[str, int]) -> int:
        return cart.popitem()[1]

    cart = {"tea": 3}
    _, result = run(False, control=takes, candidate=takes, arguments=(cart,))
    assert (result["equal"], cart) == (True, {})


async def hangs_whatever_it_is_told() -> int:
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            if LET_GO.is_set():
                raise


LET_GO = threading.Event()


@pytest.mark.parametrize("hangs", [partial(asyncio.sleep, 60), hangs_whatever_it_is_told])
def test_a_shadow_that_hangs_delays_nobody_and_is_given_up(
    comparisons: Comparisons, results: Results, hangs: Answer
) -> None:
    LET_GO.clear()

    async def ask() -> tuple[bool, object]:
        sides: Comparison[int] = Comparison(gives(1), hangs)
        answer = await comparisons.run_async("F", sides, candidate_serves=False, key="ann")
        was_waiting = results == []
        await comparisons._tasks.wait()
        LET_GO.set()
        return was_waiting, answer

    assert asyncio.run(ask()) == (True, 1)
    assert [each[CANDIDATE] for each in results] == [{"outcome": "failed", "durationUs": LIMIT_SECONDS * 1_000_000}]


def test_an_event_loop_that_ends_says_nothing_about_the_shadow(comparisons: Comparisons, results: Results) -> None:
    sides: Comparison[Any] = Comparison(gives(1), partial(asyncio.sleep, 60))
    assert asyncio.run(comparisons.run_async("F", sides, candidate_serves=False, key="ann")) == 1
    assert [each[CANDIDATE]["outcome"] for each in results] == ["skipped"]


def test_beyond_what_may_run_at_once_shadows_are_skipped(
    comparisons: Comparisons, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadow_tasks, "TASKS_MAX", 3)
    sides: Comparison[Any] = Comparison(gives(1), partial(asyncio.sleep, 60))

    async def ask() -> None:
        for _ in range(5):
            await comparisons.run_async("F", sides, candidate_serves=False, key="ann")
        await comparisons._tasks.wait()

    asyncio.run(ask())
    assert sorted(each[CANDIDATE]["outcome"] for each in results) == ["failed"] * 3 + ["skipped"] * 2


def test_the_shadow_has_nothing_of_the_callers_context(run: Callable[..., Any]) -> None:
    async def who() -> str:
        return WHO.get()

    token = WHO.set("ann")
    answer, result = run(False, control=who, candidate=who, equal=lambda one, other: (one, other) == ("ann", "nobody"))
    WHO.reset(token)
    assert (answer, result["equal"]) == ("ann", True)


def test_what_would_keep_the_event_loop_is_refused_before_anything_runs(
    comparisons: Comparisons, results: Results
) -> None:
    for sides in ((gives(1), lambda: 1), (lambda: 1, gives(1))):
        with pytest.raises(TypeError, match="no coroutine function"):
            asyncio.run(comparisons.run_async("F", Comparison(*sides), candidate_serves=False, key="ann"))
    assert results == []


def test_a_flag_that_its_variable_switches_off_runs_the_control_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("F", "false")
    flags = connection.connect("http://127.0.0.1:1", "*:production.x", cache_dir=tmp_path)
    assert asyncio.run(flags.compare_async("F", control=gives(1), candidate=fails, key="ann")) == 1  # type: ignore[arg-type]
