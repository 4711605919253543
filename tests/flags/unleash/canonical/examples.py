"""Small definitions to change one thing in, and the official engine to ask about what became of them."""

import json
from typing import Any

from yggdrasil_engine.engine import UnleashEngine

from flags.unleash.canonical import Definitions, InvalidDefinition, canonical_definitions


def feature(*strategies: Any, **changes: Any) -> dict[str, Any]:
    """Return a feature named F that is on for whom these strategies let in."""
    return {"name": "F", "enabled": True, "strategies": list(strategies) or [{"name": "default"}]} | changes


def constrained(**constraint: Any) -> dict[str, Any]:
    """Return a feature with one constraint."""
    return feature({"name": "default", "constraints": [{"contextName": "plan"} | constraint]})


def taken(raw: Any) -> Definitions:
    """Return the definitions of a feature, which must be taken."""
    outcome = canonical_definitions({"features": [raw]})
    assert isinstance(outcome, Definitions), outcome
    return outcome


def mistakes(raw: Any) -> dict[str, str]:
    """Return why a feature is refused, by field."""
    outcome = canonical_definitions({"features": [raw]})
    assert isinstance(outcome, InvalidDefinition), outcome
    return {mistake.field.removeprefix("features[0]."): mistake.sentence for mistake in outcome.mistakes}


def constraint(raw: Any) -> dict[str, Any]:
    """Return the one constraint of a feature that is taken."""
    (strategy,) = taken(raw).features[0]["strategies"]
    (only,) = strategy["constraints"]
    assert isinstance(only, dict)
    return only


def engine(definitions: Any) -> UnleashEngine:
    """Return the official engine, holding these definitions after they were taken."""
    outcome = canonical_definitions(definitions)
    assert isinstance(outcome, Definitions), outcome
    asked = UnleashEngine()
    asked.take_state(json.dumps({"version": 2, "features": outcome.features, "segments": outcome.segments}))
    assert {toggle.name for toggle in asked.list_known_toggles()} == {each["name"] for each in outcome.features}
    return asked


def is_on(raw: Any, **properties: Any) -> bool:
    """Return whether the official engine lets a user with these properties in."""
    context = {"userId": "u1", "properties": properties}
    return bool(engine({"features": [raw]}).check_enabled("F", context).is_enabled)
