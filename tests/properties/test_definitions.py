"""Whatever is imported, it is refused by name or comes out in a form that the official engine takes whole."""

import json
import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from yggdrasil_engine.engine import UnleashEngine

from flags.canonical import Definitions, Refusal, canonical_definitions
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
        if isinstance(outcome, Refusal):
            assert all(mistake.field and mistake.sentence.endswith(".") for mistake in outcome.mistakes)
            continue
        taken += 1
        again = canonical_definitions({"features": outcome.features, "segments": outcome.segments})
        assert again == Definitions(outcome.features, outcome.segments), seed
        engine.take_state(json.dumps({"version": 2, "features": outcome.features, "segments": outcome.segments}))
        for context in (at_random.context(chance) for _ in range(CONTEXTS_EACH)):
            name = outcome.features[0]["name"]
            assert engine.check_enabled(name, context).is_found, seed
            assert engine.check_variant(name, context).is_found, seed
    assert taken > DEFINITIONS / 5


@settings(max_examples=200, derandomize=True, deadline=None)
@given(anything)
def test_nothing_that_json_can_hold_stops_the_reading(raw: Any) -> None:
    for document in (raw, {"features": raw, "segments": raw}, {"features": [raw], "segments": [raw]}):
        assert isinstance(canonical_definitions(document), Definitions | Refusal)
