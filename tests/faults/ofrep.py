"""OFREP 0.3 in our own words: the two evaluations as the protocol describes them, to hold our answers to.

Where the published document can't be satisfied as written (a value matches two of its exclusive branches), any branch
will do here.
"""

from typing import Any

PRIMITIVE = {"anyOf": [{"type": "boolean"}, {"type": "string"}, {"type": "number"}]}
SUCCESS: dict[str, Any] = {
    "type": "object",
    "required": ["key", "reason"],
    "properties": {
        "key": {"type": "string"},
        "reason": {"enum": ["STATIC", "TARGETING_MATCH", "SPLIT", "DISABLED", "UNKNOWN"]},
        "variant": {"type": "string"},
        "value": {"anyOf": [*PRIMITIVE["anyOf"], {"type": "object"}]},
        "metadata": {"type": "object", "additionalProperties": PRIMITIVE},
    },
}
CODES = ["PARSE_ERROR", "TARGETING_KEY_MISSING", "INVALID_CONTEXT", "GENERAL"]


def _failure(*required: str, codes: list[str]) -> dict[str, Any]:
    properties = {"key": {"type": "string"}, "errorCode": {"enum": codes}, "errorDetails": {"type": "string"}}
    return {"type": "object", "required": [*required, "errorCode"], "properties": properties}


STREAM = {
    "type": "object",
    "required": ["type"],
    "properties": {
        "type": {"const": "sse"},
        "url": {"type": "string"},
        "endpoint": {"type": "object", "required": ["requestUri"], "properties": {"requestUri": {"type": "string"}}},
        "inactivityDelaySec": {"type": "integer", "minimum": 1},
    },
}
BULK = {
    "type": "object",
    "required": ["flags"],
    "properties": {
        "flags": {"type": "array", "items": {"anyOf": [SUCCESS, _failure("key", codes=CODES)]}},
        "eventStreams": {"type": "array", "items": STREAM},
        "metadata": {"type": "object", "additionalProperties": PRIMITIVE},
    },
}
CONTEXT = {
    "type": "object",
    "required": ["targetingKey"],
    "properties": {"targetingKey": {"type": "string"}},
    "additionalProperties": True,
}
REQUEST = {"type": "object", "required": ["context"], "properties": {"context": CONTEXT}}


def _answers(**schemas: dict[str, Any]) -> dict[str, Any]:
    given = {
        name.removeprefix("of_"): {"description": "-", "content": {"application/json": {"schema": schema}}}
        for name, schema in schemas.items()
    }
    return given | {status: {"description": "-"} for status in ("304", "401", "403", "429")}


def _operation(answers: dict[str, Any], *parameters: dict[str, Any]) -> dict[str, Any]:
    body = {"required": True, "content": {"application/json": {"schema": REQUEST}}}
    return {"post": {"parameters": [*parameters], "requestBody": body, "responses": answers}}


KEY = {"name": "key", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
ETAG = {"name": "If-None-Match", "in": "header", "required": False, "schema": {"type": "string"}}
DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "OFREP", "version": "0.3.0"},
    "paths": {
        "/ofrep/v1/evaluate/flags/{key}": _operation(
            _answers(
                of_200=SUCCESS,
                of_400=_failure("key", codes=CODES),
                of_404=_failure("key", codes=["FLAG_NOT_FOUND"]),
            ),
            KEY,
        ),
        "/ofrep/v1/evaluate/flags": _operation(_answers(of_200=BULK, of_400=_failure(codes=CODES)), ETAG),
    },
}
