"""Whatever payload an import accepts, every answer that carries it is strict JSON; what it doesn't, breaks nobody."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from control_plane.platform.db.database import transaction
from control_plane.platform.json_provider import loads
from flags.client_features.feature_set import FeatureSource, build
from flags.client_features.prepared_payloads import prepare
from flags.client_features.results import FlagResults
from flags.evaluation.contexts import Context
from flags.protocols.ofrep_schemas import success
from flags.store import put_definitions
from flags.unleash.canonical import Definitions, InvalidDefinition, canonical_definitions
from flags.unleash.feature_payload import encode
from tests.flags.conftest import call, installation

__all__ = ["call", "installation"]

Call = Callable[..., TestResponse]
NUMBERS = st.one_of(
    st.integers().map(str),
    st.floats().map(str),
    st.from_regex(r"-?[0-9]{1,5}(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,4})?", fullmatch=True),
    st.sampled_from(
        ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1" * 400, "1" * 5000, " 5 ", "0x1", "true", ""]
    ),
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
DEEP = st.integers(1, 4_000).map(lambda depth: "[" * depth + "]" * depth)
TEXTS = st.one_of(
    NUMBERS, VALUES.map(json.dumps), DEEP, st.text(), st.sampled_from(['"\\ud800"', '"\\u0000"', "[1e999]"])
)
HARMFUL = [
    ("number", "NaN"),
    ("number", "1e999"),
    ("number", "-Infinity"),
    ("number", "abc"),
    ("number", "true"),
    ("number", "1" * 400),
    ("json", '{"limit": NaN}'),
    ("json", "[1e999]"),
    ("json", "[" * 3_000 + "]" * 3_000),
    ("json", "[" * 100 + "]" * 100),
    ("json", '"\\ud800"'),
    ("json", ""),
    ("json", '"' + "x" * 200_000 + '"'),
]


def feature(kind: str, text: str, name: str = "a") -> dict[str, Any]:
    payload = {"type": kind, "value": text}
    variant = {"name": "v", "weight": 1000, "stickiness": "default", "weightType": "variable", "payload": payload}
    strategy = {"name": "default", "parameters": {}, "constraints": [], "segments": []}
    return {"name": name, "enabled": True, "strategies": [strategy], "variants": [variant]}


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(["string", "csv", "number", "json"]), TEXTS)
def test_what_is_accepted_is_strict_json_everywhere(kind: str, text: str) -> None:
    outcome = canonical_definitions({"features": [feature(kind, text)]})
    if isinstance(outcome, InvalidDefinition):
        return
    assert isinstance(outcome, Definitions)
    now = datetime.now(UTC)
    source = FeatureSource("production", 1, {}, tuple(outcome.features), tuple(outcome.segments))
    feature_set = build(source, now, guard_ended_at=None)
    given_to = FlagResults(feature_set, now)
    loads(prepare(feature_set).features.body)
    loads(given_to.toggles(Context(user_id="ada"), now).body)
    bulk: Any = loads(encode([success(answer) for answer in given_to.all(Context(user_id="ada"), now)]))
    assert bulk[0]["variant"] == "v"
    assert "errorCode" not in bulk[0]


@pytest.mark.parametrize(("kind", "text"), HARMFUL)
def test_what_not_everybody_reads_is_refused_with_a_sentence(kind: str, text: str) -> None:
    outcome = canonical_definitions({"features": [feature(kind, text)]})
    assert isinstance(outcome, InvalidDefinition)
    assert "is needed" in str(outcome)


@pytest.mark.parametrize(("kind", "text"), HARMFUL)
def test_what_is_stored_already_breaks_one_flag_alone(app: Flask, call: Call, kind: str, text: str) -> None:
    with app.app_context(), transaction() as session:
        wires = [feature(kind, text, "bad"), feature("number", "5", "good")]
        put_definitions(session, "production", wires, actor="test", now=datetime.now(UTC))
    asked: dict[str, Any] = {"kind": "frontend", "json": {"context": {"targetingKey": "ada"}}}
    whole = call("POST", "/ofrep/v1/evaluate/flags", **asked)
    assert whole.status_code == 200
    bulk: Any = loads(whole.data)
    found = {flag["key"]: flag for flag in bulk["flags"]}
    assert found["good"]["value"] == 5
    assert found["bad"]["errorCode"] == "PARSE_ERROR"
    assert found["bad"]["errorDetails"].startswith("The payload of")
    assert call("POST", "/ofrep/v1/evaluate/flags/bad", **asked).status_code == 400
    good: Any = loads(call("POST", "/ofrep/v1/evaluate/flags/good", **asked).data)
    assert good["value"] == 5
    loads(call("GET", "/api/frontend", kind="frontend").data)
    loads(call("GET", "/api/client/features", kind="client").data)
