"""Compiled rules give the answer of the official engine, for every flag and context that they decide."""

import json
import random
from typing import Any

import pytest

from flags.evaluation.unleash_engine import Engine
from flags.unleash.canonical import InvalidDefinition, canonical_definitions
from flags.unleash.compiled_rules import compile_rules, context_fields
from tests.properties import definitions_at_random as at_random

CONTEXTS_EACH = 8


def differences(seeds: range) -> tuple[int, int, list[Any]]:
    """How many answers were compared, how many flags were compiled, and every answer that differs."""
    compared, compiled, found = 0, 0, []
    for seed in seeds:
        chance = random.Random(seed)
        outcome = canonical_definitions(at_random.definitions(chance))
        if isinstance(outcome, InvalidDefinition):
            continue
        features = [feature | {"enabled": True} for feature in outcome.features]
        state = {"version": 2, "features": features, "segments": outcome.segments}
        engine = Engine(json.dumps(state).encode())
        segments = {each["id"]: each["constraints"] for each in outcome.segments}
        for feature in features:
            rules = compile_rules(feature, segments)
            compiled += rules is not None
            for context in (anybody(chance) for _ in range(CONTEXTS_EACH if rules else 0)):
                answer = rules(context_fields(context)) if rules else None
                if answer is None:
                    continue
                compared += 1
                expected = engine.is_enabled(feature["name"].encode(), json.dumps(context).encode())
                if answer is not expected:
                    found.append((seed, feature, context, answer, expected))
    return compared, compiled, found


def anybody(chance: random.Random) -> dict[str, Any]:
    """A context as ours are written, with any field missing."""
    asked = at_random.context(chance)
    properties = {name: value for name, value in asked["properties"].items() if chance.random() < 0.8}
    known = {
        "userId": chance.choice(("u1", "u2", "u3", "back\\", "é", "it's")),
        "sessionId": chance.choice(("s1", "12")),
        "remoteAddress": "10.1.2.3",
    }
    own = {name: value for name, value in known.items() if chance.random() < 0.7}
    return {**own, "currentTime": "2026-07-01T00:00:00.000Z", "environment": "production", "properties": properties}


def test_compiled_rules_and_the_engine_agree() -> None:
    compared, compiled, found = differences(range(4000))
    assert found == []
    assert compiled > 500
    assert compared > 3000


@pytest.mark.long
def test_compiled_rules_and_the_engine_agree_a_million_times() -> None:
    compared, _, found = differences(range(10_000, 1_010_000))
    assert found == []
    assert compared > 1_000_000


@pytest.mark.parametrize(
    "strategy",
    [
        {"name": "flexibleRollout", "parameters": {"rollout": "50", "groupId": "g", "stickiness": "random"}},
        {"name": "remoteAddress", "parameters": {"IPs": "10.0.0.1"}},
        {"name": "default", "parameters": {}, "segments": [9]},
        {"name": "default", "parameters": {}, "variants": [{"name": "a", "weight": 1000}]},
        {"name": "default", "constraints": [{"contextName": "v", "operator": "SEMVER_EQ", "value": "1.0.0"}]},
    ],
)
def test_what_is_not_compiled_is_left_to_the_engine(strategy: dict[str, Any]) -> None:
    assert compile_rules({"name": "F", "enabled": True, "strategies": [strategy]}, {}) is None


def test_a_draw_at_random_is_left_to_the_engine_only_where_nobody_is_known() -> None:
    parameters = {"rollout": "50", "groupId": "g", "stickiness": "default"}
    rules = compile_rules({"name": "F", "strategies": [{"name": "flexibleRollout", "parameters": parameters}]}, {})
    assert rules is not None
    assert rules({}) is None
    assert rules({"userId": "u1"}) is not None
