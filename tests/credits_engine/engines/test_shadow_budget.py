import ast
import time
from dataclasses import replace
from inspect import getsource
from types import ModuleType

import pytest

from control_plane.experiments.shadow_budget import OVERRUNS
from control_plane.platform.db.database import transaction
from control_plane.platform.setting_values import SettingsError
from control_plane.platform.settings import Settings
from credits_engine.engines import legacy, v2
from credits_engine.engines.amounts import KINDS, Amounts
from credits_engine.engines.comparison import Variance
from credits_engine.engines.decisions import Book, Decision, Outcome, Request
from credits_engine.engines.receipts import EntryType, replayed
from credits_engine.operations.consumption import EnginePolicy, Engines, Operation
from credits_engine.operations.reservations import commit, reserve
from credits_engine.store.reservations import ReservationState
from tests.applications import application
from tests.credit_kinds import ANALYSIS
from tests.credits_engine.conftest import LEGACY_SERVES, Consumer


def failing(_book: Book, _request: Request) -> Decision:
    raise ValueError("no such limit")


@pytest.mark.parametrize("engine", [legacy, v2])
def test_no_engine_has_an_open_ended_loop(engine: ModuleType) -> None:
    tree = ast.parse(getsource(engine))
    functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    for node in ast.walk(tree):
        assert not isinstance(node, ast.While)
        if isinstance(node, ast.FunctionDef):
            called = {
                call.func.id
                for call in ast.walk(node)
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
            }
            assert node.name not in called & functions


def test_a_shadow_that_sleeps_delays_a_few_operations_and_then_none(consumer: Consumer) -> None:
    consumer.user("ada")
    naps: list[int] = []

    def sleepy(book: Book, request: Request) -> Decision:
        naps.append(1)
        time.sleep(0.011)
        return v2.decide(book, request)

    consumer.engines = Engines(v2=sleepy)
    receipts = [consumer.take("ada", f"k{number}", analysis=1) for number in range(OVERRUNS + 3)]
    assert [receipt.outcome for receipt in receipts] == [Outcome.ALLOWED] * len(receipts)
    variances = [receipt.comparison.variance for receipt in receipts]
    assert variances == [Variance.MATCH] * OVERRUNS + [Variance.SHADOW_SKIPPED] * 3
    assert len(naps) == OVERRUNS
    assert consumer.books("ada").v2.used == consumer.books("ada").legacy.used == Amounts(len(receipts), 0)
    assert receipts[-1].shadow.outcome is None


def test_a_shadow_that_corrupts_its_input_changes_nothing_that_is_stored(consumer: Consumer) -> None:
    consumer.user("ada")

    def mutating(book: Book, request: Request) -> Decision:
        object.__setattr__(book.used, "analysis", 10**9)
        object.__setattr__(book.limits, "analysis", 0)
        object.__setattr__(request.amounts, "analysis", 0)
        raise MemoryError

    consumer.engines = Engines(v2=mutating)
    assert consumer.take("ada", "k1", analysis=2).charged == Amounts(2, 0)
    assert consumer.books("ada").v2.used == Amounts(2, 0)


def test_kinds_that_may_pass_go_ahead_uncharged_and_their_retry_says_the_same(consumer: Consumer) -> None:
    consumer.user("ada")
    consumer.engines, consumer.policy = Engines(legacy=failing), EnginePolicy(allowed_on_error=frozenset({ANALYSIS}))
    first = consumer.take("ada", "k1", analysis=2)
    assert (first.outcome, first.uncharged, first.granted, first.charged) == (Outcome.ERROR, True, True, Amounts())
    consumer.engines = Engines()
    assert consumer.take("ada", "k1", analysis=2) == replayed(first)
    assert consumer.books("ada").legacy.used == Amounts()
    (row,) = consumer.journal("ada")
    assert (row["outcome"], row["context"]) == ("error", {"uncharged": True})


def test_an_operation_with_a_kind_that_may_not_pass_is_refused(consumer: Consumer) -> None:
    consumer.user("ada")
    consumer.engines, consumer.policy = Engines(legacy=failing), EnginePolicy(allowed_on_error=frozenset({ANALYSIS}))
    refused = consumer.take("ada", "k1", analysis=1, roast=1)
    assert (refused.uncharged, refused.granted) == (False, False)


def test_a_reservation_that_passed_uncharged_is_committed_for_nothing(consumer: Consumer) -> None:
    consumer.user("ada")
    policy = EnginePolicy(allowed_on_error=frozenset(KINDS), engines=Engines(legacy=failing))
    operation = Operation("ada", "k1", Amounts(analysis=3), actor="test", type=EntryType.RESERVE)
    with transaction() as session:
        reserve(
            session,
            operation,
            now=consumer.now,
            evaluate=lambda _: LEGACY_SERVES,
            policy=policy,
        )
    with transaction() as session:
        settled = commit(session, "ada", "k1", now=consumer.now, actor="test", amounts=Amounts(analysis=2))
    assert (settled.state, settled.committed) == (ReservationState.COMMITTED, Amounts())
    assert consumer.books("ada").legacy.used == Amounts()


@pytest.mark.database("sqlite")
def test_a_kind_that_there_is_not_stops_the_start(settings: Settings) -> None:
    with (
        pytest.raises(SettingsError, match="gold; write analysis or roast"),
        application(replace(settings, credits_fail_open_kinds=("gold",))),
    ):
        pass
