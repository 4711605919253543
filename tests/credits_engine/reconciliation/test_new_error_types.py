"""An error that only v2 has shown is told while it is recent, in whichever role; one of legacy's as well is not."""

from datetime import timedelta

import pytest

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.default_plan import default_plan
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import SeriesKey
from control_plane.signal_counts import Counts
from credits_engine.engines.amounts import Amounts
from credits_engine.engines.decisions import Book, Decision, Engine, Request
from credits_engine.operations.consumption import Engines, Operation
from credits_engine.operations.execution import run_operation
from credits_engine.reconciliation.new_error_types import RECENT, SIGNAL, UNSOUND, NewErrorTypes, type_of
from tests.credits_engine.conftest import Consumer
from tests.credits_engine.operations.test_stored_procedure import broken


def raising(error: type[Exception]) -> Engine:
    def decide(_book: Book, _request: Request) -> Decision:
        raise error("in the engine: of all places")

    return decide


@pytest.fixture
def error_types(consumer: Consumer) -> NewErrorTypes:
    """Return a check of new error types, with a rollout that began at the consumer's instant."""
    consumer.user("ada")
    with transaction() as session:
        rollouts.plan(session, FLAG, default_plan(consumer.now), ChangeContext(consumer.now, "test", "test"))
    return NewErrorTypes()


def fail(consumer: Consumer, key: str, *, v2_serves: bool = True, **engines: Engine) -> None:
    consumer.v2, consumer.engines = v2_serves, Engines(**engines)
    consumer.take("ada", key, analysis=1)


def counted(consumer: Consumer) -> Counts:
    signals.flush(consumer.now)
    with read_only() as session:
        return signals.totals(session).get(SeriesKey(SIGNAL), Counts(0, 0))


@pytest.mark.parametrize("v2_serves", [True, False])
def test_a_type_that_only_v2_shows_is_told_for_ten_minutes(
    consumer: Consumer, error_types: NewErrorTypes, v2_serves: bool
) -> None:
    assert error_types.check(consumer.now) == []
    fail(consumer, "k1", v2_serves=v2_serves, v2=raising(KeyError))
    fail(consumer, "k2", v2_serves=v2_serves, v2=raising(ZeroDivisionError))
    assert error_types.check(consumer.now) == ["KeyError", "ZeroDivisionError"]
    assert error_types.check(consumer.now + RECENT) == ["KeyError", "ZeroDivisionError"]
    assert error_types.check(consumer.now + RECENT + timedelta(seconds=1)) == []
    assert counted(consumer) == Counts(2, 4)


def test_a_type_that_legacy_has_shown_too_is_not_new(consumer: Consumer, error_types: NewErrorTypes) -> None:
    fail(consumer, "k1", legacy=raising(TimeoutError))
    fail(consumer, "k2", v2=raising(TimeoutError))
    fail(consumer, "k3", v2=raising(OSError), legacy=raising(OSError))
    assert error_types.check(consumer.now) == []
    fail(consumer, "k4", legacy=raising(KeyError), v2_serves=False)
    fail(consumer, "k5", v2=raising(ValueError))
    assert error_types.check(consumer.now) == ["ValueError"]
    assert counted(consumer) == Counts(1, 2)
    fail(consumer, "k6", legacy=raising(ValueError))
    assert error_types.check(consumer.now) == []


def test_a_new_leader_knows_what_legacy_showed_long_ago(consumer: Consumer, error_types: NewErrorTypes) -> None:
    fail(consumer, "k1", legacy=raising(TimeoutError))
    consumer.now += timedelta(days=3)
    fail(consumer, "k2", v2=raising(TimeoutError))
    assert error_types.check(consumer.now) == []


def test_what_v2_showed_before_this_step_says_nothing_about_it(consumer: Consumer, error_types: NewErrorTypes) -> None:
    consumer.now -= timedelta(seconds=1)
    fail(consumer, "k1", v2=raising(KeyError))
    assert error_types.check(consumer.now) == []


def test_before_a_rollout_nothing_is_looked_at(consumer: Consumer) -> None:
    consumer.user("ada")
    fail(consumer, "k1", v2=raising(KeyError))
    assert NewErrorTypes().check(consumer.now) == []
    assert counted(consumer) == Counts(0, 0)


@pytest.mark.database("postgresql")
def test_the_databases_own_errors_have_their_codes_for_types(consumer: Consumer, error_types: NewErrorTypes) -> None:
    broken("credit_judge_v2")
    run_operation(Operation("ada", "k1", Amounts(1)), now=consumer.now)
    assert error_types.check(consumer.now) == ["P0001"]


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
