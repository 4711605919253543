"""What official engines read differently in a context, so that no import can refuse it. Pure.

Each function returns the difference as a sentence for who explains a flag, None where all engines read the same.
"""

import re
import sys
from collections.abc import Mapping

from flags.unleash.canonical.constraints import DATES, INSTANT, NUMBERS, VERSIONS
from flags.unleash.canonical.issues import trim
from flags.unleash.compiler import Wire

NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?", re.ASCII | re.IGNORECASE)
JAVASCRIPT_ALONE = re.compile(r"0[xob][0-9a-f]+", re.ASCII | re.IGNORECASE)
INFINITE = re.compile(r"[+-]?inf(?:inity)?", re.ASCII | re.IGNORECASE)
JAVASCRIPT_INFINITE = re.compile(r"[+-]?Infinity")
WORD_BOUNDARY = re.compile(r"(?<!\\)(?:\\\\)*\\b")
DRAWN = ("rollout", "percentage")
BY_STRATEGY = {"gradualRolloutUserId": "userId", "gradualRolloutSessionId": "sessionId"}
EVERYBODY_OR_NOBODY = ("0", "100")


def constraint_difference(constraint: Wire, text: str | None) -> str | None:
    """Say how engines differ on whether this text, None for none at all, meets the constraint."""
    if text is None:
        return None
    operator, value = str(constraint["operator"]), str(constraint.get("value"))
    if operator in NUMBERS:
        return _number_difference(operator, value, text)
    found = {
        "SDKs differ on a time that is not written as 2026-07-01T00:00:00Z.": operator in DATES
        and not INSTANT.fullmatch(text),
        "SDKs differ on white space around a version.": operator in VERSIONS and text != trim(text),
        "SDKs differ on an address with a length or a zone.": operator == "IN_CIDR" and ("/" in text or "%" in text),
        r"SDKs differ on \b beside letters that are not ASCII.": operator == "REGEX"
        and not text.isascii()
        and bool(WORD_BOUNDARY.search(value)),
    }
    return next((sentence for sentence, is_so in found.items() if is_so), None)


def share_difference(strategy: Wire, fields: Mapping[str, str]) -> str | None:
    """Say how engines differ on whether somebody with these fields is in the share of a strategy."""
    parameters = strategy.get("parameters") or {}
    share = next((str(parameters[name]) for name in DRAWN if name in parameters), None)
    if share is None or share in EVERYBODY_OR_NOBODY:
        return None
    return stickiness_difference(BY_STRATEGY.get(strategy["name"]) or parameters.get("stickiness") or "default", fields)


def stickiness_difference(stickiness: str, fields: Mapping[str, str]) -> str | None:
    """Say how engines differ on what is drawn by this field, or by the user and else the session."""
    who = fields.get("userId") or fields.get("sessionId") if stickiness == "default" else fields.get(stickiness)
    if who is None or (who and who.isascii()):
        return None
    return "SDKs draw differently by an empty text, and by letters that are not ASCII."


def _number_difference(operator: str, value: str, text: str) -> str | None:
    is_read = NUMBER.fullmatch(text) is not None
    if operator == "NUM_EQ" and is_read and 0 < abs(float(text) - float(value)) < sys.float_info.epsilon:
        return "SDKs differ on numbers that are closer than 2e-16."
    trimmed = trim(text)
    by_javascript = not trimmed or trimmed != text or JAVASCRIPT_ALONE.fullmatch(trimmed)
    by_others = INFINITE.fullmatch(text) and not JAVASCRIPT_INFINITE.fullmatch(text)
    return "SDKs differ on whether that is a number." if by_javascript or by_others else None
