"""Whatever is imported, it is refused by name or comes out in a form that the official engine takes whole."""

import json
import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from yggdrasil_engine.engine import UnleashEngine

from flags.unleash.canonical import Definitions, InvalidDefinition, acceptable_definitions, canonical_definitions
from flags.unleash.compiler import Wire
from tests.properties import definitions_at_random as at_random

DEFINITIONS, CONTEXTS_EACH = 2000, 5

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["name", "value", "weight", "strategies"]), inner),
)


def test_what_is_taken_stays_as_it_is_and_lives_in_the_official_engine() -> None:
    engine, taken = UnleashEngine(), 0
    for seed in range(DEFINITIONS):
        chance = random.Random(seed)
        outcome = canonical_definitions(at_random.definitions(chance))
        if isinstance(outcome, InvalidDefinition):
            assert all(mistake.field and mistake.sentence.endswith(".") for mistake in outcome.mistakes)
            continue
        taken += 1
        again = canonical_definitions({"features": outcome.features, "segments": outcome.segments})
        assert again == Definitions(outcome.features, outcome.segments), seed
        # One strategy that an engine can't read silently switches all of a feature off; a last one for everybody tells.
        features = [_open_to_everybody(feature) for feature in outcome.features]
        engine.take_state(json.dumps({"version": 2, "features": features, "segments": outcome.segments}))
        for feature in features:
            for context in (at_random.context(chance) for _ in range(CONTEXTS_EACH)):
                assert engine.check_enabled(feature["name"], context).is_enabled, seed
                assert engine.check_variant(feature["name"], context).is_found, seed
    assert taken > DEFINITIONS / 5


def test_no_repair_that_takes_no_confirmation_changes_an_answer() -> None:
    engine, as_written, repaired = UnleashEngine(), UnleashEngine(), 0
    for seed in range(DEFINITIONS):
        chance = random.Random(seed)
        raw = _as_a_server_sends(at_random.definitions(chance))
        outcome = acceptable_definitions(raw, confirm_moving=False)
        if isinstance(outcome, InvalidDefinition) or not outcome.features:
            continue
        repaired += bool(outcome.repairs)
        known = {each["id"] for each in outcome.segments}
        segments = [each for each in raw["segments"] if each["id"] in known]
        as_written.take_state(json.dumps({"version": 2, "features": raw["features"], "segments": segments}))
        engine.take_state(json.dumps({"version": 2, "features": outcome.features, "segments": outcome.segments}))
        name = outcome.features[0]["name"]
        for context in (at_random.context(chance) for _ in range(CONTEXTS_EACH)):
            assert engine.check_enabled(name, context) == as_written.check_enabled(name, context), seed
    assert repaired > DEFINITIONS / 50


@settings(max_examples=200, derandomize=True, deadline=None)
@given(anything)
def test_nothing_that_json_can_hold_stops_the_reading(raw: Any) -> None:
    for document in (raw, {"features": raw, "segments": raw}, {"features": [raw], "segments": [raw]}):
        assert isinstance(canonical_definitions(document), Definitions | InvalidDefinition)


def _as_a_server_sends(raw: Any) -> Any:
    """Leave out what a server of Unleash's own never sends: strategies that are disabled, segments that are missing."""
    for feature in raw["features"]:
        feature["strategies"] = [
            each
            for each in feature["strategies"]
            if not each.pop("disabled", False) and 9 not in each.get("segments", ())
        ]
    return raw


def _open_to_everybody(feature: Wire) -> Wire:
    return feature | {"enabled": True, "strategies": [*feature["strategies"], {"name": "default", "parameters": {}}]}
