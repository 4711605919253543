"""Credits of a rollout that is open to customers by their attributes: one answer, whoever is asked for it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from control_plane import rollouts
from control_plane.audiences.constraint import Constraint, Operator
from control_plane.change_context import ChangeContext
from control_plane.core.phases import Phase, Plan, Position
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import transaction
from control_plane.platform.runtime import change_feed, leases
from control_plane.rollouts import store as rollout_store
from credits_engine.engines.amounts import Amounts
from credits_engine.engines.decisions import EngineName
from credits_engine.operations import stored_procedure
from credits_engine.operations.consumption import EnginePolicy, Operation
from credits_engine.operations.execution import run_operation
from flags.evaluation.bucketing import bucket
from tests.credits_engine.conftest import Consumer
from tests.credits_engine.examples import NOW

PAYING = (Constraint("plan", Operator.IN, ("pro", "enterprise")),)
PLAN = Plan(
    (
        Phase("paying", "Paying", "attributes", (50, 100), timedelta(0), constraints=PAYING),
        Phase("everyone", "Everyone", "everyone", (100,), timedelta(0)),
    ),
    NOW,
)
USERS = {f"user-{number}": ("free", "pro")[number % 2] for number in range(12)}


@pytest.fixture
def opened(consumer: Consumer) -> Consumer:
    for name, plan in USERS.items():
        consumer.user(name, plan=plan)
    with transaction() as session:
        rollouts.plan(session, FLAG, PLAN, ChangeContext(NOW, "test", "test"))
        leases.heartbeat(session, now=NOW, term=1, ttl_seconds=3600)
    return consumer


def move(position: Position) -> None:
    with transaction() as session:
        stored = rollout_store.load(session, FLAG)
        assert stored
        after = replace(stored, position=position, version=stored.version + 1)
        assert rollout_store.compare_and_set(session, after, expected_version=stored.version)
        change_feed.publish(session, rollouts.TOPIC, FLAG, now=NOW)


def operation(name: str, key: str) -> Operation:
    return Operation(name, key, Amounts(1, 0), actor="test")


def expected(name: str, position: Position) -> str:
    if position.phase == 1:
        return "STATIC: everyone_all"
    if USERS[name] == "free":
        return "DEFAULT: default_off"
    if position.step == 1:
        return "TARGETING_MATCH: attributes_all"
    return "SPLIT: attributes_inside" if bucket(FLAG, name) <= 50 else "DEFAULT: default_off"


@pytest.mark.parametrize("position", [Position(0, 0), Position(0, 1), Position(1, 0)])
def test_every_operation_is_routed_by_the_attributes_of_its_user(opened: Consumer, position: Position) -> None:
    move(position)
    found = {name: run_operation(operation(name, "k"), now=NOW) for name in USERS}
    assert {name: each.evaluation_reason for name, each in found.items()} == {
        name: expected(name, position) for name in USERS
    }
    by_v2 = {name for name, each in found.items() if each.served.engine is EngineName.V2}
    assert by_v2 == {name for name in USERS if not expected(name, position).startswith("DEFAULT")}
    assert len({expected(name, position) for name in USERS}) == (1 if position.phase else 2)


@pytest.mark.database("postgresql")
def test_the_function_leaves_such_an_operation_to_the_use_case_before_anything_is_written(opened: Consumer) -> None:
    answers = []
    for number, position in enumerate([Position(0, 1), Position(1, 0)]):
        move(position)
        asked = operation("user-1", f"k{number}")
        answers.append(stored_procedure.call(asked, now=NOW, policy=EnginePolicy()))
    assert answers[0] is None
    assert answers[1]
    assert answers[1].evaluation_reason == "STATIC: everyone_all"
    assert [row["operation_key"] for row in opened.journal("user-1")] == ["k1"]


@pytest.mark.database("postgresql")
def test_a_rollback_is_answered_in_the_database_whatever_was_open(opened: Consumer) -> None:
    with transaction() as session:
        rollouts.roll_back(session, FLAG, ChangeContext(NOW, "test", "Stop."))
    answer = stored_procedure.call(operation("user-1", "k"), now=NOW, policy=EnginePolicy())
    assert answer
    assert answer.evaluation_reason == "DISABLED: rolled_back"
