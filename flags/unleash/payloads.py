"""Payloads of variants: the values that every SDK and every protocol reads alike out of their text."""

import math

from control_plane.strict_json import MalformedJSON, loads

DEPTH_MAX = 64
LENGTH_MAX = 100_000


class UnreadablePayload(ValueError):  # noqa: N818 - what the payload is
    """The text isn't what its type says; the message says why, to follow "The payload is no …"."""


def value_of(kind: str, text: str) -> object:
    """Return the value that a payload of this type stands for. Raises UnreadablePayload."""
    if len(text) > LENGTH_MAX:
        raise UnreadablePayload(f"it has {len(text):,} characters, and {LENGTH_MAX:,} are allowed")
    if "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise UnreadablePayload("it holds a NUL or half of a surrogate pair")
    if kind not in ("number", "json"):
        return text
    try:
        value = loads(text)
    except MalformedJSON as error:
        raise UnreadablePayload(str(error)) from error
    # In Python a bool is an int.
    if kind == "number" and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise UnreadablePayload("it is something else than a number")
    _check(value)
    return value


def _check(value: object) -> None:
    """Refuse what is nested deeper than every reader follows, and numbers that some read as infinite."""
    # Level by level and not by recursion: the depth is what the text's author chooses.
    level = [value]
    for _ in range(DEPTH_MAX):
        for each in level:
            if isinstance(each, int) and not _is_finite(each):
                raise UnreadablePayload("a number in it is too large")
        level = [inner for each in level for inner in _inside(each)]
        if not level:
            return
    raise UnreadablePayload(f"it is nested deeper than {DEPTH_MAX} levels")


def _inside(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _is_finite(number: int) -> bool:
    try:
        return math.isfinite(float(number))
    except OverflowError:
        return False
