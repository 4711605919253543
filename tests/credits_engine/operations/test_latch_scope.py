"""One answer to a rollback of either scope: Python's, PostgreSQL's both ways, and that of the engine under the SDKs."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session
from yggdrasil_engine.engine import UnleashEngine

from control_plane import rollouts
from control_plane.audiences.exposure import PRODUCTION
from control_plane.change_context import ChangeContext
from control_plane.core.default_plan import default_plan
from control_plane.core.phases import PRE_PRODUCTION, Position, RolloutState, positions
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.runtime import change_feed, leases
from control_plane.rollouts import archive, store
from credits_engine.engines.amounts import Amounts
from credits_engine.operations import stored_procedure
from credits_engine.operations.consumption import Operation
from credits_engine.store import stored_procedures
from flags import snapshot
from flags.evaluation.bucketing import bucket
from flags.evaluation.evaluator import evaluate
from flags.evaluation.rollout_flag import EvaluationContext
from flags.unleash.compiler import compile_flag
from tests.credits_engine.conftest import Consumer
from tests.credits_engine.examples import NOW
from tests.properties.rollouts_at_random import sdk_context

ENVIRONMENTS = (*PRE_PRODUCTION, PRODUCTION)
SHORT = text("SELECT credit_answer('ada', :key, '{1,0}', 'test', :now, :environment, NULL, :bucket, false)")
LONG = text("SELECT reason FROM credit_flag('ada', :now, false, :now, :environment, NULL, :bucket)")


def put(session: Session, position: Position, state: RolloutState, *, latches_all: bool = False) -> None:
    stored = rollouts.find(session, FLAG)
    after = replace(stored, position=position, state=state, latches_all=latches_all, version=stored.version + 1)
    assert store.compare_and_set(session, after, expected_version=stored.version)
    change_feed.publish(session, rollouts.TOPIC, FLAG, now=NOW)


def change() -> ChangeContext:
    return ChangeContext(NOW, "test", "Errors.")


def archived(session: Session) -> None:
    stored = rollouts.find(session, FLAG)
    archive.archive(session, FLAG, change(), expected_version=stored.version, confirm_losing=True)


WAYS: dict[str, Callable[[Session], object]] = {
    "narrow": lambda session: rollouts.roll_back(session, FLAG, change()),
    "wide": lambda session: rollouts.roll_back(session, FLAG, change(), in_all=True),
    "restored": lambda session: rollouts.latch_restored(session, FLAG, None, change()),
    "archived": archived,
    "held": lambda session: rollouts.hold(session, FLAG, change()),
    "not": lambda session: rollouts.find(session, FLAG),
}


@pytest.mark.database("postgresql")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("position", positions(default_plan(NOW)))
def test_each_answers_as_the_others_in_every_environment(consumer: Consumer, way: str, position: Position) -> None:
    consumer.user("ada")
    with transaction() as session:
        rollouts.plan(session, FLAG, default_plan(NOW), change())
        leases.heartbeat(session, now=NOW, term=1, ttl_seconds=3600)
        put(session, position, RolloutState.COMPLETE if way == "archived" else RolloutState.RUNNING)
        WAYS[way](session)
    on = {each: the_answer(each, way) for each in ENVIRONMENTS}
    kept = way in ("narrow", "held", "not")
    assert (on["development"], on["staging"]) == (kept, kept)
    place, is_everyone = bucket(FLAG, "ada"), position.phase == 3
    reached = is_everyone and place <= default_plan(NOW).phases[3].steps[position.step]
    assert on[PRODUCTION] is (reached and way in ("held", "not"))


def the_answer(environment: str, way: str) -> bool:
    """Return whether ada has the flag there, by every way that can say so; `way` makes a key."""
    with read_only() as session:
        flag = snapshot.SNAPSHOTS.get().current(session, environment).find(FLAG)
    context = EvaluationContext("ada", NOW)
    ours = evaluate(flag, context, NOW)
    reason = f"{ours.reason}: {ours.detail}"
    place = {"now": NOW, "environment": environment, "bucket": bucket(FLAG, "ada")}
    with transaction() as session:
        assert session.execute(LONG, place).scalar_one() == reason
        found = session.execute(SHORT, place | {"key": f"{environment} {way}"}).scalar_one()
    operation = Operation("ada", "k", Amounts(1, 0), actor="test")
    assert stored_procedure.receipt_of(stored_procedures.read(found), operation, NOW).evaluation_reason == reason
    compiled, engine = compile_flag(flag, NOW), UnleashEngine()
    engine.take_state(json.dumps({"version": 2, "features": [compiled.feature], "segments": compiled.segments}))
    assert engine.check_enabled(FLAG, sdk_context(context)).is_enabled is ours.value
    return bool(ours.value)
