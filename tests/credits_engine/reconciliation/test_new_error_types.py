"""An error that only v2 has shown is told while it is recent, in whichever role; one of legacy's as well is not."""

from datetime import timedelta

import pytest

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.phases import FLAG, default_plan
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import Count, SeriesKey
from credits_engine.engines.amounts import Amounts
from credits_engine.engines.decisions import Book, Decision, Engine, Request
from credits_engine.operations.consumption import Engines, Operation
from credits_engine.operations.execution import run_operation
from credits_engine.reconciliation.new_error_types import RECENT, SIGNAL, UNSOUND, NewErrorTypes, type_of
from tests.credits_engine.conftest import Till
from tests.credits_engine.operations.test_stored_procedure import broken


def raising(error: type[Exception]) -> Engine:
    def decide(_book: Book, _request: Request) -> Decision:
        raise error("in the engine: of all places")

    return decide


@pytest.fixture
def looking(till: Till) -> NewErrorTypes:
    """Return a check of new error types, with a rollout that began when the till did."""
    till.user("ada")
    with transaction() as session:
        rollouts.plan(session, FLAG, default_plan(till.now), ChangeContext(till.now, "test", "test"))
    return NewErrorTypes()


def fail(till: Till, key: str, *, v2_serves: bool = True, **engines: Engine) -> None:
    till.v2, till.engines = v2_serves, Engines(**engines)
    till.take("ada", key, analysis=1)


def counted(till: Till) -> Count:
    signals.flush(till.now)
    with read_only() as session:
        return signals.totals(session).get(SeriesKey(SIGNAL), Count(0, 0))


@pytest.mark.parametrize("v2_serves", [True, False])
def test_a_type_that_only_v2_shows_is_told_for_ten_minutes(till: Till, looking: NewErrorTypes, v2_serves: bool) -> None:
    assert looking.check(till.now) == []
    fail(till, "k1", v2_serves=v2_serves, v2=raising(KeyError))
    fail(till, "k2", v2_serves=v2_serves, v2=raising(ZeroDivisionError))
    assert looking.check(till.now) == ["KeyError", "ZeroDivisionError"]
    assert looking.check(till.now + RECENT) == ["KeyError", "ZeroDivisionError"]
    assert looking.check(till.now + RECENT + timedelta(seconds=1)) == []
    assert counted(till) == Count(2, 4)


def test_a_type_that_legacy_has_shown_too_is_not_new(till: Till, looking: NewErrorTypes) -> None:
    fail(till, "k1", legacy=raising(TimeoutError))
    fail(till, "k2", v2=raising(TimeoutError))
    fail(till, "k3", v2=raising(OSError), legacy=raising(OSError))
    assert looking.check(till.now) == []
    fail(till, "k4", legacy=raising(KeyError), v2_serves=False)
    fail(till, "k5", v2=raising(ValueError))
    assert looking.check(till.now) == ["ValueError"]
    assert counted(till) == Count(1, 2)
    fail(till, "k6", legacy=raising(ValueError))
    assert looking.check(till.now) == []


def test_a_new_leader_knows_what_legacy_showed_long_ago(till: Till, looking: NewErrorTypes) -> None:
    fail(till, "k1", legacy=raising(TimeoutError))
    till.now += timedelta(days=3)
    fail(till, "k2", v2=raising(TimeoutError))
    assert looking.check(till.now) == []


def test_what_v2_showed_before_this_step_says_nothing_about_it(till: Till, looking: NewErrorTypes) -> None:
    till.now -= timedelta(seconds=1)
    fail(till, "k1", v2=raising(KeyError))
    assert looking.check(till.now) == []


def test_before_a_rollout_nothing_is_looked_at(till: Till) -> None:
    till.user("ada")
    fail(till, "k1", v2=raising(KeyError))
    assert NewErrorTypes().check(till.now) == []
    assert counted(till) == Count(0, 0)


@pytest.mark.database("postgresql")
def test_the_databases_own_errors_have_their_codes_for_types(till: Till, looking: NewErrorTypes) -> None:
    broken("credit_judge_v2")
    run_operation(Operation("ada", "k1", Amounts(1)), now=till.now)
    assert looking.check(till.now) == ["P0001"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("KeyError: 'x: y'", "KeyError"),
        ("KeyError", "KeyError"),
        ("22012: division by zero", "22012"),
        ("The engine answered with NoneType instead of a decision.", UNSOUND),
        ("", UNSOUND),
    ],
)
def test_the_type_is_what_stands_before_the_words(words: str, expected: str) -> None:
    assert type_of(words) == expected
