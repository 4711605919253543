from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from credits_engine.engines import v2
from credits_engine.engines.amounts import Amounts
from credits_engine.engines.decisions import Book, Decision, EngineName, Outcome, Request
from credits_engine.engines.observation import Observation, observe
from tests.credits_engine.examples import book

REQUEST = Request("u1", Amounts(analysis=3))


def ask(engine: Any, loaded: Book | None = None) -> Observation:
    ticks = count(0, 2_500)
    return observe(engine, EngineName.V2, book=loaded or book(), request=REQUEST, timer=lambda: next(ticks))


class UnspeakableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even this")


def raising(error: Exception) -> Any:
    def engine(_book: Book, _request: Request) -> Decision:
        raise error

    return engine


def test_a_decision_comes_back_with_its_duration() -> None:
    observation = ask(v2.decide)
    assert observation.decision == v2.decide(book(), REQUEST)
    assert (observation.outcome, observation.error, observation.duration_us) == (Outcome.ALLOWED, None, 2)


@pytest.mark.parametrize("error", [ValueError("no such limit"), RecursionError(), MemoryError(), UnspeakableError()])
def test_whatever_an_engine_raises_becomes_an_error_and_never_a_refusal(error: Exception) -> None:
    observation = ask(raising(error))
    assert (observation.outcome, observation.decision) == (Outcome.ERROR, None)
    assert type(error).__name__ in (observation.error or "")


def test_an_engine_that_corrupts_its_input_harms_only_its_own_copies() -> None:
    loaded = book(used=Amounts(5, 5))

    def mutating(given: Book, request: Request) -> Decision:
        for thing, name in (
            (given, "limits"),
            (given.used, "roast"),
            (given.period, "end"),
            (request.amounts, "analysis"),
        ):
            object.__setattr__(thing, name, None)
        return v2.decide(loaded, request)

    ask(mutating, loaded)
    assert loaded == book(used=Amounts(5, 5))
    assert Request("u1", Amounts(analysis=3)) == REQUEST


sound = v2.decide(book(), REQUEST)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        True,
        {"outcome": "allowed"},
        replace(sound, outcome="allowed"),  # type: ignore[arg-type]
        replace(sound, outcome=Outcome.ERROR),
        replace(sound, charged=None),  # type: ignore[arg-type]
        replace(sound, charged=Amounts(1.5, 0)),  # type: ignore[arg-type]
        replace(sound, charged=Amounts(True, 0)),
        replace(sound, used=Amounts(2**60, 0)),
        replace(sound, used=Amounts(None, 0)),  # type: ignore[arg-type]
        replace(sound, limits=Amounts(1, 1)),  # type: ignore[arg-type]
        replace(sound, reason=b"bytes"),  # type: ignore[arg-type]
        replace(sound, period=None),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_storable_decision_is_an_error_of_that_engine(answer: object) -> None:
    observation = ask(lambda _book, _request: answer)
    assert (observation.outcome, observation.decision) == (Outcome.ERROR, None)
    assert "The engine answered with" in (observation.error or "")


def test_an_endless_error_text_is_cut() -> None:
    assert len(ask(raising(ValueError("x" * 10**6))).error or "") <= 300


def test_a_shed_shadow_has_neither_an_answer_nor_an_error() -> None:
    observation = Observation.skip(EngineName.V2)
    assert (observation.skipped, observation.decision, observation.error) == (True, None, None)
