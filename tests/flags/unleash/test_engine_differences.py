"""Where official engines answer differently for a context, the sentence says so; where there is none, they agree."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from yggdrasil_engine.engine import UnleashEngine

from flags.unleash.engine_differences import constraint_difference, share_difference, stickiness_difference
from tests import raw_server
from tests.clients import engines

TEXTS = (
    *(
        "5",
        "5.0",
        " 5",
        "5\ufeff",
        "",
        " ",
        "0x5",
        "0b101",
        "0X",
        "inf",
        "-Infinity",
        "INFINITY",
        "NaN",
        "1e400",
        "1e-17",
    ),
    *(
        ".5",
        "5.",
        "5_0",
        "\u0665",
        "a",
        "é",
        "éa",
        "日本",
        "İ",
        "ς",
        "😀",
        "1.0.0",
        " 1.0.0",
        "1.0",
        "v1.0.0",
        "1.0.0+b",
    ),
    *("10.1.2.3", "10.1.2.3/32", "::1", "::1/128", "fe80::1%eth0", "::ffff:10.1.2.3", "010.1.2.3", "10.1.2.3 "),
)
CONSTRAINTS: tuple[dict[str, Any], ...] = (
    *({"operator": f"NUM_{each}", "value": value} for each in ("EQ", "GT", "LTE") for value in ("0", "5")),
    *({"operator": f"SEMVER_{each}", "value": "1.0.0"} for each in ("EQ", "GTE", "LT")),
    *({"operator": "REGEX", "value": value} for value in (r"\bé", r"a\b", "^.$", "(?i)é", r"\\b")),
    *({"operator": each, "values": ["é"]} for each in ("IN", "NOT_IN", "STR_CONTAINS")),
    {"operator": "STR_STARTS_WITH", "values": ["É", "i"], "caseInsensitive": True},
    {"operator": "IN_CIDR", "values": ["10.0.0.0/8", "::/0"]},
)
DATES = ("2026-07-01T00:00:00Z", "2026-07-01", "2026-07-01T02:00:00+02:00", "2026-07-01 00:00", "soon")
SHARES = ("userId", "default", "x")


def _feature(name: str, **changes: Any) -> dict[str, Any]:
    strategies = [{"name": "default", "parameters": {}}]
    return {"name": name, "type": "release", "enabled": True, "strategies": strategies, "variants": []} | changes


def _features() -> Iterator[dict[str, Any]]:
    for number, each in enumerate(CONSTRAINTS):
        constraints = [{"contextName": "x", **each}]
        yield _feature(f"c{number}", strategies=[{"name": "default", "parameters": {}, "constraints": constraints}])
    after = {"contextName": "currentTime", "operator": "DATE_AFTER", "value": "2026-01-01T00:00:00.000Z"}
    yield _feature("date", strategies=[{"name": "default", "parameters": {}, "constraints": [after]}])
    for field in SHARES:
        drawn = {"rollout": "50", "groupId": "g", "stickiness": field}
        yield _feature(f"share {field}", strategies=[{"name": "flexibleRollout", "parameters": drawn}])
        named = [{"name": name, "weight": 500, "stickiness": field} for name in ("red", "blue")]
        yield _feature(f"variant {field}", variants=named)


def _contexts() -> Iterator[dict[str, Any]]:
    for text in TEXTS:
        for user in ("u1", text or "u2"):
            yield {"userId": user, "currentTime": DATES[0], "properties": {"x": text}}
    for text in DATES:
        yield {"userId": "u1", "currentTime": text, "properties": {"x": "a"}}


def _difference(feature: dict[str, Any], context: dict[str, Any]) -> str | None:
    (strategy,), fields = feature["strategies"], {**context["properties"], **context}
    of_constraints = (
        constraint_difference(each, fields.get(each["contextName"])) for each in strategy.get("constraints", ())
    )
    of_variants = stickiness_difference(feature["variants"][0]["stickiness"], fields) if feature["variants"] else None
    return next(filter(None, of_constraints), None) or share_difference(strategy, fields) or of_variants


def test_engines_answer_differently_where_a_sentence_says_so_and_nowhere_else(tmp_path: Path) -> None:
    state: dict[str, Any] = {"version": 2, "features": [*_features()], "segments": []}
    python, seen = UnleashEngine(), set()
    python.take_state(json.dumps(state))
    with (
        raw_server.answering(raw_server.with_body(json.dumps(state).encode())) as url,
        engines.node_asking(url, "-", tmp_path, "polling") as node,
    ):
        for context in _contexts():
            for feature in state["features"]:
                name, sentence = feature["name"], _difference(feature, context)
                variant = python.check_variant(name, context).variant.name
                answer = (python.check_enabled(name, context).is_enabled, None if variant == "disabled" else variant)
                if node(name, context) != answer:
                    assert sentence is not None, (feature, context, answer)
                    seen.add(sentence)
    assert len(seen) == 7, "each sentence is about something that was seen"
