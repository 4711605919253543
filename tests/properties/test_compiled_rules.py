"""Compiled rules give the answer of the official engine, for every flag and context that they decide."""

import json
import random
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import pytest

from flags.evaluation.unleash_engine import Engine
from flags.unleash.canonical import InvalidDefinition, canonical_definitions
from flags.unleash.compiled_rules import CompiledRules, compile_rules, context_fields
from tests.properties import definitions_at_random as at_random

CONTEXTS_EACH = 8


@dataclass(slots=True)
class RuleComparison:
    """The number of flags that were compiled and of answers that were compared, and every answer that differs."""

    flags: int = 0
    answers: int = 0
    variants: int = 0
    found: list[Any] = field(default_factory=list)


def differences(seeds: range) -> RuleComparison:
    """Compare the rules of random flags, each with another that it may depend on, with the official engine."""
    seen = RuleComparison()
    for seed in seeds:
        chance = random.Random(seed)
        outcome = canonical_definitions(family(chance))
        if isinstance(outcome, InvalidDefinition):
            continue
        state = {"version": 2, "features": outcome.features, "segments": outcome.segments}
        engine = Engine(json.dumps(state).encode())
        segments = {each["id"]: each["constraints"] for each in outcome.segments}
        by_name = {each["name"]: each for each in outcome.features}
        for feature in (each for each in outcome.features if each["enabled"]):
            rules = compile_rules(feature, segments, by_name)
            seen.flags += rules is not None
            for context in (anybody(chance) for _ in range(CONTEXTS_EACH if rules else 0)):
                assert rules is not None
                _compare(seen, rules, engine, feature, context)
    return seen


def _compare(seen: RuleComparison, rules: CompiledRules, engine: Engine, feature: Any, context: dict[str, Any]) -> None:
    name, written, fields = feature["name"].encode(), json.dumps(context).encode(), context_fields(context)
    answer = rules.is_on(fields)
    if answer is not None:
        seen.answers += 1
        expected = engine.is_enabled(name, written)
        if answer is not expected:
            seen.found.append((feature, context, answer, expected))
    variant = rules.variant(fields) if rules.variant else None
    if variant is not None:
        seen.variants += variant["enabled"]
        theirs = engine.variant(name, written)
        if variant != theirs:
            seen.found.append((feature, context, variant, theirs))


def family(chance: random.Random) -> dict[str, Any]:
    """Return a feature, another one that half of them depend on, and two segments."""
    found = at_random.definitions(chance)
    parent, (child,) = at_random.feature(chance) | {"name": "P"}, found["features"]
    if chance.random() < 0.5:
        names = [each["name"] for each in parent.get("variants") or ()]
        named = chance.sample(names, 1) if names and chance.random() < 0.4 else []
        enabled = chance.random() < 0.7
        child["dependencies"] = [{"feature": "P", "enabled": enabled, **({"variants": named} if enabled else {})}]
    return found | {"features": [child, parent | {"enabled": chance.random() < 0.8}]}


def anybody(chance: random.Random) -> dict[str, Any]:
    """Return a context as ours are written, with any field missing."""
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
    seen = differences(range(4000))
    assert seen.found == []
    assert seen.flags > 500
    assert seen.answers > 3000
    assert seen.variants > 300


@pytest.mark.long
def test_compiled_rules_and_the_engine_agree_a_million_times() -> None:
    seen = differences(range(10_000, 1_010_000))
    assert seen.found == []
    assert seen.answers > 1_000_000


@pytest.mark.parametrize(
    "strategy",
    [
        {"name": "flexibleRollout", "parameters": {"rollout": "50", "groupId": "g", "stickiness": "random"}},
        {"name": "gradualRolloutRandom", "parameters": {"percentage": "50"}},
        {"name": "applicationHostname", "parameters": {"hostNames": "a.example"}},
        {"name": "default", "parameters": {}, "segments": [9]},
        {"name": "default", "constraints": [{"contextName": "v", "operator": "SEMVER_EQ", "value": "1.0"}]},
        {"name": "default", "constraints": [{"contextName": "v", "operator": "REGEX", "value": "^a"}]},
    ],
)
def test_what_is_not_compiled_is_left_to_the_engine(strategy: dict[str, Any]) -> None:
    assert compile_rules({"name": "F", "enabled": True, "strategies": [strategy]}, {}) is None


def test_a_draw_at_random_is_left_to_the_engine_only_where_nobody_is_known() -> None:
    parameters = {"rollout": "50", "groupId": "g", "stickiness": "default"}
    rules = compile_rules({"name": "F", "strategies": [{"name": "flexibleRollout", "parameters": parameters}]}, {})
    assert rules is not None
    assert rules.is_on({}) is None
    assert rules.is_on({"userId": "u1"}) is not None


@pytest.mark.parametrize(
    "text", ["2026-07-01", "2026-07-01T00:00:00Z", "2026-07-01T02:00:00.000+02:00", "2026-02-30T00:00:00.000Z", ""]
)
def test_a_date_in_another_spelling_is_left_to_the_engine(text: str) -> None:
    after = {"contextName": "currentTime", "operator": "DATE_AFTER", "value": "2026-01-01T00:00:00.000Z"}
    rules = compile_rules({"name": "F", "strategies": [{"name": "default", "constraints": [after]}]}, {})
    assert rules is not None
    assert rules.is_on({"currentTime": text}) is None
    assert rules.is_on({"currentTime": "2026-07-01T00:00:00.000Z"}) is True


@pytest.mark.parametrize(
    ("version", "answer"),
    [("1.2.3", False), ("1.2.4-0", True), ("1.10.0", True), ("1.2.3-rc.1", False), ("1.2.4+b", None), ("1.2", None)],
)
def test_versions_are_in_semvers_order(version: str, answer: bool | None) -> None:
    later = {"contextName": "v", "operator": "SEMVER_GT", "value": "1.2.3"}
    rules = compile_rules({"name": "F", "strategies": [{"name": "default", "constraints": [later]}]}, {})
    assert rules is not None
    assert rules.is_on({"v": version}) is answer


NUMBERS = (
    "5",
    "5.0",
    "inf",
    "-Infinity",
    "+INF",
    "NaN",
    "1e400",
    "1e-17",
    "-1e-17",
    "3e-16",
    "",
    "0x10",
    "\u0665",
    " 5",
    "1_0",
)


@pytest.mark.parametrize("order", ["EQ", "GT", "GTE", "LT", "LTE"])
@pytest.mark.parametrize("value", ["0", "5"])
def test_numbers_at_the_edge_compare_as_the_engine_compares_them(order: str, value: str) -> None:
    compared = {"contextName": "n", "operator": f"NUM_{order}", "value": value}
    feature = {"name": "F", "enabled": True, "strategies": [{"name": "default", "constraints": [compared]}]}
    rules = compile_rules(feature, {})
    assert rules is not None
    engine = Engine(json.dumps({"version": 2, "features": [feature], "segments": []}).encode())
    for number in NUMBERS:
        context = {"properties": {"n": number}}
        assert rules.is_on(context_fields(context)) is engine.is_enabled(b"F", json.dumps(context).encode()), number


ADDRESSES = ("10.1.2.3", "10.0.0.0", "255.255.255.255", "192.168.1.77", "0.0.0.0", "172.16.0.1")  # noqa: S104
ODD_ADDRESSES = ("010.1.2.3", "10.1.2", "10.1.2.3 ", "::1", "::ffff:10.1.2.3", "10.1.2.256", "", "x")
NETWORKS = ("10.0.0.0/8", "10.1.2.3/16", "192.168.1.77", "0.0.0.0/0", "172.16.0.0/12", "2001:db8::/32", "10.1.2.2/31")


@pytest.mark.parametrize("networks", [*combinations(NETWORKS, 1), *combinations(NETWORKS, 2)])
def test_networks_hold_what_the_engine_finds_in_them(networks: tuple[str, ...]) -> None:
    listed = {"contextName": "address", "operator": "IN_CIDR", "values": networks}
    strategies = [
        {"name": "default", "constraints": [listed]},
        {"name": "default", "constraints": [listed | {"inverted": True}]},
        {"name": "remoteAddress", "parameters": {"IPs": ", ".join(networks)}},
    ]
    for strategy in strategies:
        outcome = canonical_definitions({"features": [{"name": "F", "enabled": True, "strategies": [strategy]}]})
        assert not isinstance(outcome, InvalidDefinition)
        rules = compile_rules(outcome.features[0], {})
        assert rules is not None
        engine = Engine(json.dumps({"version": 2, "features": outcome.features, "segments": []}).encode())
        for address in (*ADDRESSES, *ODD_ADDRESSES):
            context = {"remoteAddress": address, "properties": {"address": address}}
            answer = rules.is_on(context_fields(context))
            assert (answer is None) == (address in ODD_ADDRESSES)
            assert answer is None or answer is engine.is_enabled(b"F", json.dumps(context).encode())


def test_a_dependency_on_a_variant_of_a_flag_without_any_is_left_to_the_engine() -> None:
    parent = {"name": "P", "enabled": True, "strategies": [{"name": "default"}], "variants": []}
    child = {"name": "F", "strategies": [{"name": "default"}], "dependencies": [{"feature": "P", "variants": ["a"]}]}
    assert compile_rules(child, {}, {"P": parent}) is None
    assert compile_rules(child | {"dependencies": [{"feature": "P"}]}, {}, {"P": parent}) is not None


@pytest.mark.parametrize("percentage", ["0", "100"])
def test_a_draw_among_nobody_or_everybody_needs_no_engine(percentage: str) -> None:
    parameters = {"rollout": percentage, "groupId": "g", "stickiness": "random"}
    rules = compile_rules({"name": "F", "strategies": [{"name": "flexibleRollout", "parameters": parameters}]}, {})
    assert rules is not None
    assert rules.is_on({}) is (percentage == "100")
