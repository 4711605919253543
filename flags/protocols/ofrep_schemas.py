"""An answer in the words of OFREP: value, variant, reason; or a failure with a code that every provider knows."""

from typing import Any

from flags.client_features.results import FlagResult
from flags.evaluation.evaluator import Reason
from flags.unleash.payloads import UnreadablePayload, value_of

ON, OFF = "on", "off"
REASONS = {Reason.DEFAULT: Reason.TARGETING_MATCH}
"""Reasons for which OFREP's schema has no word of its own, and the one that comes nearest."""


def success(answer: FlagResult, *, stale_seconds: float = 0.0) -> dict[str, Any]:
    """Return the document of an evaluation.

    A flag with variants that gives none has no value: the code's default holds.
    """
    metadata: dict[str, object] = {"phase": answer.phase} if answer.phase else {}
    reason = REASONS.get(answer.reason, answer.reason)
    if stale_seconds:
        metadata |= {"staleSeconds": round(stale_seconds, 1), "reason": reason.value}
        reason = Reason.STALE
    document = {"key": answer.key, "reason": reason.value, "metadata": metadata}
    if answer.variant is None:
        return document | {"value": answer.value, "variant": ON if answer.value else OFF}
    if not answer.variant.get("enabled"):
        return document | {"variant": "disabled"}
    try:
        value = _value(answer.variant)
    except UnreadablePayload as error:
        # Whatever was stored before payloads were checked, or comes from upstream, breaks this flag's answer alone.
        return failure(answer.key, "PARSE_ERROR", f"The payload of {answer.variant['name']!r} can't be read; {error}.")
    return document | {"variant": answer.variant["name"], "value": value}


def failure(key: str, code: str, sentence: str) -> dict[str, object]:
    """Return the document of an evaluation that gave no value."""
    return {"key": key, "errorCode": code, "errorDetails": sentence}


def _value(variant: Any) -> object:
    payload = variant.get("payload")
    if not payload:
        return variant["name"]
    # As it was written: 5 is an integer to strict providers and 5.0 a float.
    return value_of(payload.get("type", "string"), str(payload.get("value", "")))
