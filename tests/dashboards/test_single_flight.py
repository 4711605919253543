"""Work is done once for those who ask for the same at about the same time, and again as soon as it may differ."""

import threading
from collections.abc import Iterator
from itertools import count

import pytest

from dashboards.single_flight import SingleFlight


@pytest.fixture
def clock() -> list[float]:
    """The present, to be moved by hand."""
    return [0.0]


@pytest.fixture
def shared(clock: list[float]) -> SingleFlight[int]:
    """What is shared, by that clock."""
    return SingleFlight(lambda: clock[0])


@pytest.fixture
def numbers() -> Iterator[int]:
    """Each time another number."""
    return count(1)


def test_the_same_question_is_answered_once(shared: SingleFlight[int], numbers: Iterator[int]) -> None:
    asked = [shared.get("page", 7, age_seconds=1, make=lambda: next(numbers)) for _ in range(3)]
    assert asked == [1, 1, 1]


def test_another_key_or_version_is_another_question(shared: SingleFlight[int], numbers: Iterator[int]) -> None:
    questions = [("page", 7), ("list", 7), ("page", 8)]
    assert [shared.get(*each, age_seconds=1, make=lambda: next(numbers)) for each in questions] == [1, 2, 3]


def test_an_answer_grows_old(shared: SingleFlight[int], clock: list[float], numbers: Iterator[int]) -> None:
    shared.get("page", 7, age_seconds=1, make=lambda: next(numbers))
    clock[0] = 1.1
    assert shared.get("page", 7, age_seconds=1, make=lambda: next(numbers)) == 2


def test_a_failure_is_not_shared(shared: SingleFlight[int]) -> None:
    with pytest.raises(ZeroDivisionError):
        shared.get("page", 7, age_seconds=1, make=lambda: 1 // 0)
    assert shared.get("page", 7, age_seconds=1, make=lambda: 5) == 5


def test_a_crowd_has_it_made_once(shared: SingleFlight[int], numbers: Iterator[int]) -> None:
    together = threading.Barrier(8)
    answers: list[int] = []

    def ask() -> None:
        together.wait()
        answers.append(shared.get("page", 7, age_seconds=1, make=lambda: next(numbers)))

    crowd = [threading.Thread(target=ask) for _ in range(8)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
    assert answers == [1] * 8
