"""Ordered faults: they begin when they should, strike as often as they should, and only as they should."""

from datetime import UTC, datetime

import pytest

from credits_engine.engines.amounts import Amounts
from credits_engine.engines.decisions import Book, Outcome, Request
from credits_engine.engines.periods import calendar_month
from credits_engine.engines.plans import CATALOGUE
from dashboards.simulation.fault_injection import (
    SLOW_NANOSECONDS,
    Fault,
    FaultInjectingEngine,
    FaultKind,
    InjectedFailureError,
    parse,
)

PHASES = ("development", "beta")
BOOK = Book(calendar_month(datetime(2026, 1, 5, tzinfo=UTC)), Amounts(), CATALOGUE.plan("pro").v2)
REQUEST = Request("u1", Amounts(analysis=3))


def engine(kind: FaultKind, rate: float = 1.0) -> FaultInjectingEngine:
    v2 = FaultInjectingEngine([Fault(kind, rate, from_operation=1)], seed=1)
    v2.proceed(1, PHASES)
    return v2


def test_a_fault_is_ordered_by_operation_or_phase() -> None:
    assert parse("double-charge:0.10@6000", PHASES) == Fault(FaultKind.DOUBLE_CHARGE, 0.1, from_operation=6000)
    assert parse("fail:1@beta", PHASES) == Fault(FaultKind.FAIL, 1.0, from_phase="beta")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("fail", "write KIND:RATE@WHEN"),
        ("explode:0.1@5", "no fault 'explode'"),
        ("fail:0@5", "above 0"),
        ("fail:1.5@5", "above 0"),
        ("fail:0.1.2@5", "above 0"),
        ("fail:0.1@nowhere", "the phases are development, beta"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        parse(text, PHASES)


def test_it_begins_at_its_operation_or_with_its_phase() -> None:
    by_operation = Fault(FaultKind.FAIL, 1.0, from_operation=10)
    assert [by_operation.active(number, ()) for number in (9, 10, 11)] == [False, True, True]
    by_phase = Fault(FaultKind.FAIL, 1.0, from_phase="beta")
    assert not by_phase.active(1, ["development"])
    assert by_phase.active(1, ["development", "beta"])


def test_each_fault_spoils_the_decision_in_its_own_way() -> None:
    assert engine(FaultKind.DOUBLE_CHARGE).decide(BOOK, REQUEST).charged == Amounts(analysis=6)
    assert engine(FaultKind.FREE).decide(BOOK, REQUEST).charged == Amounts()
    assert engine(FaultKind.DENY).decide(BOOK, REQUEST).outcome is Outcome.DENIED_LIMIT
    with pytest.raises(InjectedFailureError):
        engine(FaultKind.FAIL).decide(BOOK, REQUEST)
    slow = engine(FaultKind.SLOW)
    before = slow.timer()
    slow.decide(BOOK, REQUEST)
    assert slow.timer() - before >= SLOW_NANOSECONDS


def test_before_it_begins_v2_is_as_it_is() -> None:
    v2 = FaultInjectingEngine([Fault(FaultKind.FAIL, 1.0, from_operation=10)], seed=1)
    assert not v2.proceed(9, PHASES)
    assert v2.decide(BOOK, REQUEST).charged == REQUEST.amounts


def test_the_same_seed_strikes_the_same_operations() -> None:
    def struck() -> list[bool]:
        v2 = engine(FaultKind.FREE, rate=0.3)
        return [v2.decide(BOOK, REQUEST).charged == Amounts() for _ in range(200)]

    assert struck() == struck()
    assert 30 < sum(struck()) < 90
