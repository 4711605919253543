"""Constraints as Python functions that give the official engine's answer. Pure.

Patterns are left to the engine; so are dates, versions and addresses of a context in a spelling of their own.
"""

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from ipaddress import IPv4Network, ip_network
from typing import Any

from flags.unleash.compiler import Wire

Fields = Mapping[str, str]
"""Every field of a context by the name that a constraint uses for it."""
Rule = Callable[[Fields], bool]

NUMBER = re.compile(
    r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|inf(?:inity)?|nan)", re.ASCII | re.IGNORECASE
)
"""Numbers as the engine reads them; Python would also take blanks and underscores."""
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")
"""Instants in this spelling are in order as texts."""
COUNT = r"(?:0|[1-9][0-9]{0,14})"
LABEL = rf"(?:{COUNT}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
ADDRESS = re.compile(rf"({OCTET})\.({OCTET})\.({OCTET})\.({OCTET})")
VERSION = re.compile(rf"({COUNT})\.({COUNT})\.({COUNT})(?:-({LABEL}(?:\.{LABEL})*))?")
TEXTS: Mapping[str, Callable[[str, Sequence[str]], bool]] = {
    "STR_STARTS_WITH": lambda text, values: text.startswith(tuple(values)),
    "STR_ENDS_WITH": lambda text, values: text.endswith(tuple(values)),
    "STR_CONTAINS": lambda text, values: any(value in text for value in values),
}
ORDER: Mapping[str, Callable[[Any, Any], bool]] = {
    "EQ": lambda given, value: bool(given == value),
    "GT": lambda given, value: bool(given > value),
    "GTE": lambda given, value: bool(given >= value),
    "LT": lambda given, value: bool(given < value),
    "LTE": lambda given, value: bool(given <= value),
}
NUMERIC_ORDER = {**ORDER, "EQ": lambda given, value: abs(given - value) < sys.float_info.epsilon}
"""Numbers are equal to the engine where it can't tell them apart around 1."""


class NotCompiled(Exception):  # noqa: N818 - not an error: the engine answers then
    """This is left to the engine, whoever asks."""


class EngineNeeded(Exception):  # noqa: N818 - not an error either
    """This context is left to the engine."""


def compile_constraint(wire: Wire) -> Rule:
    """Return the constraint as a function, which may raise EngineNeeded. Raises NotCompiled."""
    rule = _condition(wire)
    return (lambda fields: not rule(fields)) if wire.get("inverted") else rule


def may_need_engine(wire: Wire) -> bool:
    """Return whether the function of this constraint may raise EngineNeeded."""
    return str(wire["operator"]).startswith(("DATE_", "SEMVER_", "IN_CIDR"))


def within(field: str, texts: Sequence[str]) -> Rule:
    """Return the condition that an address is in one of these networks; may raise EngineNeeded. Raises NotCompiled."""
    try:
        found = [ip_network(text.strip(), strict=False) for text in texts]
    except ValueError as error:
        raise NotCompiled from error
    networks = [(int(each.netmask), int(each.network_address)) for each in found if isinstance(each, IPv4Network)]

    def matches(fields: Fields) -> bool:
        text = fields.get(field)
        if text is None:
            return False
        octets = ADDRESS.fullmatch(text)
        if octets is None:
            raise EngineNeeded
        first, second, third, fourth = map(int, octets.groups())
        number = first << 24 | second << 16 | third << 8 | fourth
        return any(number & mask == network for mask, network in networks)

    return matches


def _condition(wire: Wire) -> Rule:
    field, operator = wire["contextName"], str(wire["operator"])
    kind, _, order = operator.partition("_")
    if operator in ("IN", "NOT_IN"):
        return _membership(field, frozenset(wire.get("values") or ()), wanted=operator == "IN")
    if operator == "IN_CIDR":
        return within(field, wire.get("values") or ())
    if operator in TEXTS:
        return _text(field, TEXTS[operator], wire.get("values") or (), casefold=bool(wire.get("caseInsensitive")))
    value = str(wire.get("value"))
    if kind == "NUM" and order in ORDER and NUMBER.fullmatch(value):
        return _number(field, NUMERIC_ORDER[order], float(value))
    if kind == "SEMVER" and order in ORDER and VERSION.fullmatch(value):
        return _version(field, ORDER[order], _precedence(value))
    if kind == "DATE" and DATE.fullmatch(value):
        return _date(field, value, after=order == "AFTER")
    raise NotCompiled


def _membership(field: str, values: frozenset[str], *, wanted: bool) -> Rule:
    return lambda fields: (fields.get(field) in values) is wanted


def _text(field: str, holds: Callable[[str, Sequence[str]], bool], values: Sequence[str], *, casefold: bool) -> Rule:
    if casefold and not all(value.isascii() for value in values):
        raise NotCompiled
    wanted = [value.lower() for value in values] if casefold else list(values)

    def matches(fields: Fields) -> bool:
        text = fields.get(field)
        return text is not None and holds(text.lower() if casefold else text, wanted)

    return matches


def _number(field: str, holds: Callable[[float, float], bool], value: float) -> Rule:
    def matches(fields: Fields) -> bool:
        text = fields.get(field)
        return text is not None and NUMBER.fullmatch(text) is not None and holds(float(text), value)

    return matches


def _date(field: str, value: str, *, after: bool) -> Rule:
    def matches(fields: Fields) -> bool:
        text = fields.get(field)
        if text is None or not _is_instant(text):
            raise EngineNeeded
        return text > value if after else text < value

    return matches


def _is_instant(text: str) -> bool:
    """Return whether the text is of this spelling and there is such a day and such a time."""
    try:
        return bool(DATE.fullmatch(text) and datetime.fromisoformat(text))
    except ValueError:
        return False


def _version(field: str, holds: Callable[[Any, Any], bool], value: tuple[Any, ...]) -> Rule:
    def matches(fields: Fields) -> bool:
        text = fields.get(field)
        if text is None:
            return False
        if not VERSION.fullmatch(text):
            raise EngineNeeded
        return holds(_precedence(text), value)

    return matches


def _precedence(text: str) -> tuple[Any, ...]:
    """Return a version as a value that compares as semver.org says: a number below a word, a label below none."""
    found = VERSION.fullmatch(text)
    assert found is not None
    major, minor, patch, labels = found.groups()
    parts = tuple((0, int(each), "") if each.isdecimal() else (1, 0, each) for each in (labels or "").split("."))
    return int(major), int(minor), int(patch), labels is None, parts if labels else ()
