"""The corpus of `tests/spec/evaluation.json`, through our evaluator and through the engine under the official SDKs."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from yggdrasil_engine.engine import UnleashEngine

from control_plane.audiences.base import AudienceKind
from control_plane.audiences.exposure import Exposure
from flags.evaluation.evaluator import EvaluationContext, Override, RolloutFlag, evaluate
from flags.evaluation.timestamps import parse_timestamp
from flags.unleash.compiler import compile_flag
from tests.properties.rollouts_at_random import sdk_context

CORPUS = json.loads((Path(__file__).parents[2] / "spec" / "evaluation.json").read_text())
NOW = datetime.fromisoformat(CORPUS["now"])
CASES = [pytest.param(case, id=case["says"]) for case in CORPUS["cases"]]

EXPOSURE_FIELDS = {
    "environment": "environment",
    "allowlist": "allowlist",
    "newSignupsPercentage": "new_signups_percentage",
    "everyonePercentage": "everyone_percentage",
}


@pytest.mark.parametrize("case", CASES)
def test_our_evaluator_answers_as_specified(case: dict[str, Any]) -> None:
    answer = evaluate(_flag(case), _context(case), NOW)
    given = {"value": answer.value, "reason": answer.reason, "detail": answer.detail}
    assert given | {"bucket": answer.bucket, "phase": answer.phase} == case["expect"]


@pytest.mark.parametrize("case", CASES)
def test_the_official_engine_answers_as_specified(case: dict[str, Any]) -> None:
    engine, compiled = UnleashEngine(), compile_flag(_flag(case), NOW)
    engine.take_state(json.dumps({"version": 2, "features": [compiled.feature], "segments": compiled.segments}))
    answer = engine.check_enabled(CORPUS["standing"]["key"], sdk_context(_context(case)))
    assert (answer.is_found, answer.is_enabled) == (True, case["expect"]["value"])


def _flag(case: dict[str, Any]) -> RolloutFlag:
    state = CORPUS["standing"] | case["flag"]
    return RolloutFlag(
        key=state["key"],
        environment=state["environment"],
        revision=1,
        exposure=Exposure(**{EXPOSURE_FIELDS[name]: value for name, value in state.get("exposure", {}).items()}),
        new_signups_after=datetime.fromisoformat(state["newSignupsAfter"]),
        environment_switch=state.get("overrideVariable"),
        latched=state.get("latched"),
        guard_expires_at=parse_timestamp(state.get("guardExpiresAt", "")),
        denied=_overrides(state.get("denied", {})),
        allowed=_overrides(state.get("allowed", {})),
        beta=frozenset(state.get("beta", ())),
        phase_names={audience: audience.value for audience in AudienceKind},
    )


def _overrides(written: dict[str, Any]) -> dict[str, Override]:
    return {
        name: Override(entry["reason"], parse_timestamp(entry.get("expiresAt", ""))) for name, entry in written.items()
    }


def _context(case: dict[str, Any]) -> EvaluationContext:
    return EvaluationContext(case["context"].get("userId"), parse_timestamp(case["context"].get("signedUpAt", "")))
