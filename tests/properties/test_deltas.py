"""An SDK that follows the changes from any remembered feature set ends with what one that asks for all is given."""

import json
import random

from yggdrasil_engine.engine import UnleashEngine

from flags.client_features.delta_log import DELTAS_MAX, Delta, DeltaLog, hydration, tag
from flags.unleash.canonical import Definitions, canonical_definitions
from flags.unleash.compiler import Wire, compile_flag
from flags.unleash.feature_payload import FeaturePayload
from tests.flags.examples import NOW
from tests.properties import definitions_at_random, rollouts_at_random

RUNS, EDITIONS, STARTS = 8, 25, 5
NAMES = ("a", "b", "c", "größe")


def test_following_the_changes_ends_where_asking_for_everything_does() -> None:
    for seed in range(RUNS):
        chance = random.Random(seed)
        feature_sets = _feature_sets(chance)
        history = DeltaLog((Delta(tag(0, feature_sets[0])),))
        for number in range(1, len(feature_sets)):
            history = history.append(number, feature_sets[number - 1], feature_sets[number])
        last = len(feature_sets) - 1
        for start in {0, last, *chance.sample(range(last), STARTS)}:
            events = history.since(tag(start, feature_sets[start]))
            assert events is not None
            follower = _engine(hydration(start, feature_sets[start]), *events)
            assert follower.get_state() == _engine(hydration(last, feature_sets[last])).get_state(), (seed, start)
            assert start < last or events == []


def test_a_change_that_changes_nothing_for_sdks_has_no_events() -> None:
    chance = random.Random(1)
    contents = _contents(chance, FeaturePayload())
    same = FeaturePayload.of(*_wires(contents), before=contents)
    first = tag(1, contents)
    assert DeltaLog((Delta(first),)).append(2, contents, same).since(first) == []


def test_a_feature_set_that_is_not_remembered_is_told_from_one_without_changes() -> None:
    empty = FeaturePayload()
    history = DeltaLog((Delta(tag(0, empty)),))
    for number in range(1, DELTAS_MAX + 1):
        history = history.append(number, empty, empty)
    assert history.since(tag(0, empty)) is None
    assert history.since(tag(1, empty)) == []
    assert history.since(tag(DELTAS_MAX + 1, empty)) is None


def _feature_sets(chance: random.Random) -> list[FeaturePayload]:
    feature_sets = [FeaturePayload()]
    for _ in range(EDITIONS):
        feature_sets.append(_contents(chance, feature_sets[-1]))
    return feature_sets


def _contents(chance: random.Random, before: FeaturePayload) -> FeaturePayload:
    """Return some of what was before, with some definitions and flags under a rollout added or changed."""
    features = {name: item.wire for name, item in before.features.items() if chance.random() < 0.8}
    segments = {number: item.wire for number, item in before.segments.items() if chance.random() < 0.8}
    for wires in (_imported(chance), _phased(chance)):
        features |= {feature["name"]: feature for feature in wires[0]}
        segments |= {segment["id"]: segment for segment in wires[1]}
    return FeaturePayload.of(features.values(), segments.values(), before=before)


def _imported(chance: random.Random) -> tuple[list[Wire], list[Wire]]:
    outcome = canonical_definitions(definitions_at_random.definitions(chance))
    if not isinstance(outcome, Definitions):
        return [], []
    return [feature | {"name": chance.choice(NAMES)} for feature in outcome.features], list(outcome.segments)


def _phased(chance: random.Random) -> tuple[list[Wire], list[Wire]]:
    plan = rollouts_at_random.plan(chance)
    flag = rollouts_at_random.flag(chance, plan, rollouts_at_random.users(chance, 30, plan))
    compiled = compile_flag(flag, NOW)
    return [compiled.feature | {"name": "phased"}], list(compiled.segments)


def _wires(contents: FeaturePayload) -> tuple[list[Wire], list[Wire]]:
    return [item.wire for item in contents.features.values()], [item.wire for item in contents.segments.values()]


def _engine(*events: bytes) -> UnleashEngine:
    engine = UnleashEngine()
    first, *others = events
    engine.take_state(json.dumps({"events": [json.loads(first)]}))
    if others:
        engine.take_state(json.dumps({"events": [json.loads(event) for event in others]}))
    return engine
