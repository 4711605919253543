"""One truth in two tongues: what we evaluate is what the engine under the official SDKs makes of what we compile."""

import json
import random
from collections import Counter
from dataclasses import fields, replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from yggdrasil_engine.engine import UnleashEngine

from control_plane.core.phases import Plan, Position, exposure_at, position_after, positions
from flags.evaluation.evaluator import RolloutFlag, evaluate
from flags.evaluation.monotonicity import is_superset_of, violations
from flags.unleash.compiler import compile_flag, next_change_at
from tests.flags.examples import NOW, users_losing_flag
from tests.properties import rollouts_at_random as at_random

STATES, USERS_PER_STATE = 250, 400
A_DECADE = timedelta(days=3650)
CHANGEABLE = [field.name for field in fields(RolloutFlag) if field.init and field.name != "phase_names"]

seeds = st.integers(0, 2**32 - 1)


def test_the_official_engine_gives_our_answer_for_100_000_plans_positions_and_users() -> None:
    engine, answers = UnleashEngine(), Counter[bool]()
    for seed in range(STATES):
        chance = random.Random(seed)
        plan = at_random.plan(chance)
        people = at_random.users(chance, USERS_PER_STATE, plan)
        flag = at_random.flag(chance, plan, people)
        compiled = compile_flag(flag, NOW)
        engine.take_state(json.dumps({"version": 2, "features": [compiled.feature], "segments": compiled.segments}))
        for context in people:
            ours, theirs = evaluate(flag, context, NOW), engine.check_enabled(flag.key, at_random.sdk_context(context))
            assert theirs.is_found
            assert theirs.is_enabled is ours.value, (seed, context, ours)
            answers[ours.value] += 1
    assert answers.total() == STATES * USERS_PER_STATE
    assert min(answers.values()) > answers.total() / 4


@settings(max_examples=60, derandomize=True, deadline=None)
@given(seeds)
def test_no_advance_along_any_plan_takes_the_flag_from_anybody(seed: int) -> None:
    chance = random.Random(seed)
    plan = at_random.plan(chance)
    people = at_random.users(chance, 150, plan)
    flag = at_random.flag(chance, plan, people)
    for position in positions(plan):
        if next_position := position_after(plan, position):
            before, after = _at(flag, plan, position), _at(flag, plan, next_position)
            assert is_superset_of(after.exposure, before.exposure)
            assert violations(before, after, now=NOW) == []
            assert not list(users_losing_flag(before, after, people, now=NOW))


@settings(max_examples=300, derandomize=True, deadline=None)
@given(seeds)
def test_a_change_without_shrinkages_takes_the_flag_from_nobody(seed: int) -> None:
    chance = random.Random(seed)
    plan = at_random.plan(chance)
    people = at_random.users(chance, 200, plan)
    elsewhere = chance.choice((plan, at_random.plan(chance)))
    before, other = at_random.flag(chance, plan, people), at_random.flag(chance, elsewhere, people)
    changed = chance.sample(CHANGEABLE, chance.randint(1, 3))
    after = replace(before, **{name: getattr(other, name) for name in changed})
    lost = list(users_losing_flag(before, after, people, now=NOW))
    assert not lost or violations(before, after, now=NOW), lost


@settings(max_examples=100, derandomize=True, deadline=None)
@given(seeds)
def test_a_compiled_feature_holds_until_the_instant_it_names(seed: int) -> None:
    chance = random.Random(seed)
    plan = at_random.plan(chance)
    flag = at_random.flag(chance, plan, at_random.users(chance, 60, plan))
    change = next_change_at(flag, NOW) or NOW + A_DECADE
    assert compile_flag(flag, change - timedelta(microseconds=1)) == compile_flag(flag, NOW)


def _at(flag: RolloutFlag, plan: Plan, position: Position) -> RolloutFlag:
    return replace(flag, exposure=exposure_at(plan, position, flag.environment))
