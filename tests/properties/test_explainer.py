"""The trace of a flag in Unleash's own words ends where the official engine's answer does, whatever the flag is."""

import json
import random
from datetime import UTC, datetime
from typing import Any

from flags.evaluation.contexts import from_nested
from flags.evaluation.trace import RuleOutcome
from flags.unleash.canonical import InvalidDefinition, canonical_definitions
from flags.unleash.explainer import FlagExplainer
from flags.unleash.feature_payload import FeaturePayload
from flags.unleash.probes import Question
from tests.properties import definitions_at_random as at_random

NOW = datetime(2026, 11, 22, tzinfo=UTC)
DEFINITIONS, CONTEXTS_EACH = 1500, 4


def test_the_trace_decides_what_the_engine_answers() -> None:
    on = off = 0
    for seed in range(DEFINITIONS):
        chance = random.Random(seed)
        outcome = canonical_definitions(at_random.definitions(chance))
        if isinstance(outcome, InvalidDefinition) or "random" in json.dumps(outcome.features):
            continue  # where chance decides, it may decide otherwise a second time
        contents = FeaturePayload.of(outcome.features, outcome.segments)
        for name in contents.features:
            specimen = FlagExplainer(contents, name, "production")
            for _ in range(CONTEXTS_EACH):
                context = from_nested(at_random.context(chance) | {"sessionId": "s"})
                found = specimen.explain(context, context.to_json("production", NOW))
                *before, last = found.steps
                assert last.outcome is RuleOutcome.DECIDED
                assert all(step.outcome is not RuleOutcome.DECIDED for step in before)
                assert found.value is (last.rule is Question.STRATEGY), (seed, name, context, found)
                on, off = on + found.value, off + (not found.value)
    assert min(on, off) > 100


def test_a_dependency_that_does_not_hold_decides() -> None:
    child = {"name": "child", "enabled": True, "strategies": [{"name": "default"}], "dependencies": [{"feature": "up"}]}
    for parent_on in (True, False):
        parent: dict[str, Any] = {"name": "up", "enabled": parent_on, "strategies": [{"name": "default"}]}
        outcome = canonical_definitions({"features": [child, parent]})
        assert not isinstance(outcome, InvalidDefinition)
        context = from_nested({"userId": "7"})
        specimen = FlagExplainer(FeaturePayload.of(outcome.features, outcome.segments), "child", "production")
        found = specimen.explain(context, context.to_json("production", NOW))
        assert found.value is parent_on
        assert found.steps[1].sentence == f"It depends on up being on: {'yes' if parent_on else 'no'}."
