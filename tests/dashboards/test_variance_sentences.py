"""The sentence of a variance: in words, whatever the journal holds."""

from datetime import UTC, datetime

import pytest

from credits_engine.engines.amounts import Amounts, Limits
from credits_engine.engines.comparison import Variance, contradictions
from credits_engine.engines.decisions import Book, Decision, Outcome
from credits_engine.engines.periods import Period
from dashboards.variance_sentences import CLASSES, FAULTS, cause_sentence


@pytest.mark.parametrize(
    ("variance", "cause", "sentence"),
    [
        ("policy", "policy:limit_table", "The limits of the plan differ."),
        (
            "policy",
            "policy:window|limit_table+made_up",
            "The periods begin and end at other times, or the limits of the plan differ and made_up.",
        ),
        ("policy", "policy:made_up", "Made_up."),
        ("defect", "v2:charge", "v2 charged another amount than was asked for."),
        (
            "defect",
            "v2:limit v2:made_up legacy:state",
            "v2 held another limit than its book's and made_up. legacy ignored whether the account may consume.",
        ),
        ("defect", "unknown", "The answers differ, and no rule explains it."),
        ("shadow_error", "TimeoutError", "The shadow failed; the caller had the other engine's answer. TimeoutError"),
        ("served_error", "", "The serving engine failed, so there is nothing to compare."),
    ],
)
def test_a_cause_is_said_in_words(variance: str, cause: str, sentence: str) -> None:
    assert cause_sentence(variance, cause) == sentence


def test_every_class_that_differs_has_a_sentence() -> None:
    assert set(CLASSES) == set(Variance) - {Variance.MATCH, Variance.RETIRED}


def test_every_contradiction_has_words() -> None:
    periods = [
        Period(datetime(2026, month, 1, tzinfo=UTC), datetime(2026, month + 1, 1, tzinfo=UTC)) for month in (1, 2)
    ]
    book = Book(periods[0], Amounts(roast=1), Limits(10, 10), blocked="frozen")
    wrong = Decision(Outcome.ALLOWED, Amounts(roast=9), "", Amounts(roast=20), Limits(1, 1), Limits(5, 5), periods[1])
    assert set(contradictions(wrong, book, Amounts(roast=1))) == set(FAULTS)
