"""One constraint: a context field, an operator, and what to compare with, written so that engines can't disagree."""

import re
from collections.abc import Callable
from decimal import Decimal
from ipaddress import ip_network

from flags.evaluation.timestamps import format_timestamp, parse_timestamp
from flags.unleash.canonical.issues import Issues, truncate
from flags.unleash.canonical.patterns import PatternFeature, PatternIssue, canonical_pattern
from flags.unleash.compiler import Wire

FIELDS = ("contextName", "operator", "values", "value", "inverted", "caseInsensitive")
LISTS = frozenset({"IN", "NOT_IN", "STR_STARTS_WITH", "STR_ENDS_WITH", "STR_CONTAINS", "IN_CIDR"})
CASE_MATTERS = frozenset({"STR_STARTS_WITH", "STR_ENDS_WITH", "STR_CONTAINS", "REGEX"})
NUMBERS = frozenset({"NUM_EQ", "NUM_GT", "NUM_GTE", "NUM_LT", "NUM_LTE"})
DATES = frozenset({"DATE_AFTER", "DATE_BEFORE"})
VERSIONS = frozenset({"SEMVER_EQ", "SEMVER_GT", "SEMVER_GTE", "SEMVER_LT", "SEMVER_LTE"})

RESERVED = frozenset(
    {
        *("__proto__", "__defineGetter__", "__defineSetter__", "__lookupGetter__", "__lookupSetter__"),
        *("constructor", "hasOwnProperty", "isPrototypeOf", "propertyIsEnumerable"),
        *("toLocaleString", "toString", "valueOf"),
    }
)
"""What every object of JavaScript has, so that the Node SDK finds it where nobody sent it."""
PROPERTIES = "properties"
"""The Node SDK finds all properties of a context under this name, others the one that is called so."""
CONTEXT_NAME = re.compile(r"[A-Za-z0-9_.:@~-]{1,100}")
CURRENT_TIME = "currentTime"
NUMBER = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{1,15})?([eE][+-]?[0-9]{1,2})?")
DIGITS_MAX = 15
COUNT = r"(?:0|[1-9][0-9]{0,14})"
LABEL = rf"(?:{COUNT}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
VERSION = re.compile(rf"{COUNT}\.{COUNT}\.{COUNT}(?:-{LABEL}(?:\.{LABEL})*)?")
"""Semantic versions without a build, which engines weigh differently; numbers are exact in every language."""
VERSION_LENGTH_MAX = 256
"""The Node SDK reads no longer one."""
NEARLY_A_VERSION = re.compile(r"[vV=]?\s*[0-9]")
"""How a text begins that some engine takes for a version, such as `v1.2.3` or `1.2`."""
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?(Z|[+-]\d\d:\d\d)", re.ASCII)
"""The spellings of an instant that every engine reads."""
NETWORK_MASK = re.compile(r"/.*[.:]")

NEVER: Wire = {"contextName": "userId", "operator": "IN", "inverted": False, "caseInsensitive": False, "values": []}
"""What nobody meets, anonymous or not."""


def canonical_constraint(raw: object, where: str, findings: Issues) -> Wire:
    """Return the constraint as SDKs are given it; what no engine can meet is said as a list without entries."""
    given = findings.record(raw, where, FIELDS)
    constraint: Wire = {
        "contextName": context_name(given.get("contextName"), f"{where}.contextName", findings),
        "operator": findings.text(given.get("operator"), f"{where}.operator"),
        "inverted": findings.switch(given.get("inverted"), f"{where}.inverted"),
        "caseInsensitive": False,
    }
    operator = constraint["operator"]
    if (constraint["contextName"] == CURRENT_TIME) is not (operator in DATES):
        findings.refuse(
            f"{where}.contextName",
            f"{CURRENT_TIME} goes with DATE_AFTER and DATE_BEFORE, and these with nothing else: the Node SDK compares "
            "dates with the current time whatever field is named. Compare other dates as numbers.",
        )
    if operator in CASE_MATTERS:
        constraint["caseInsensitive"] = findings.switch(given.get("caseInsensitive"), f"{where}.caseInsensitive")
    if operator in LISTS:
        return _with_values(constraint, given.get("values"), f"{where}.values", findings)
    if operator in SINGLES:
        return _with_value(constraint, given.get("value"), f"{where}.value", findings)
    return _never(constraint, f"{where}.operator", f"No engine knows the operator {operator!r}.", findings)


def context_name(raw: object, where: str, findings: Issues) -> str:
    """Return the name of a context field that every engine can look up."""
    name = findings.text(raw, where)
    if not CONTEXT_NAME.fullmatch(name):
        findings.refuse(where, f"A context field has up to 100 of A-Z a-z 0-9 _ . : @ ~ -, unlike {truncate(name)}.")
    if name in RESERVED or name == PROPERTIES:
        findings.refuse(where, f"The Node SDK finds something else under {name}; choose another name.")
    return name


def plain_text(raw: object, where: str, findings: Issues) -> str:
    """Return text that every engine can compare with: something, and not ending in a backslash."""
    text = findings.text(raw, where)
    if not text:
        findings.refuse(where, "Text is needed; engines differ on what an empty one matches.")
    if text.endswith("\\"):
        findings.refuse(where, f"{text!r} ends in a backslash, which switches the whole flag off in some engines.")
    return text


def plain_name(raw: object, where: str, findings: Issues) -> str:
    """Return a name under which every engine finds, and counts, one thing."""
    name = plain_text(raw, where, findings)
    if name in RESERVED:
        findings.refuse(where, f"Every object of JavaScript has something called {name}; choose another name.")
    return name


def _with_values(constraint: Wire, raw: object, where: str, findings: Issues) -> Wire:
    if raw is None:
        findings.refuse(where, f"{constraint['operator']} needs a list of values.")
    values = [plain_text(entry, place, findings) for entry, place in findings.entries(raw, where)]
    if constraint["operator"] == "IN_CIDR":
        values = networks(values, where, findings)
    if not values and constraint["operator"] not in ("IN", "NOT_IN"):
        return _never(constraint, where, "Nothing is left to match.", findings)
    return constraint | {"values": values}


def networks(values: list[str], where: str, findings: Issues) -> list[str]:
    """Return the addresses and networks among `values`, as every engine writes them."""
    for value in values:
        if NETWORK_MASK.search(value):
            findings.refuse(where, f"Engines differ on the mask of {value!r}; write its length, as in 10.0.0.0/8.")
        elif _network(value) is None:
            findings.repair(where, f"{value!r} is no address or network, so that no engine matches it; it is left out.")
    return [network for value in values if (network := _network(value))]


def _network(value: str) -> str | None:
    try:
        network = ip_network(value, strict=False)
    except ValueError:
        return None
    # An IPv6 address with a zone, which only Python takes.
    if "%" in value:
        return None
    # A single address without its /32 or /128, as all engines take it.
    return str(network.network_address) if network.num_addresses == 1 else str(network)


def _with_value(constraint: Wire, raw: object, where: str, findings: Issues) -> Wire:
    if raw is None or raw == "":
        findings.refuse(where, f"{constraint['operator']} needs a value.")
        return constraint
    # White space belongs to a pattern; around anything else the Node SDK trims it and others do not.
    text = raw if constraint["operator"] == "REGEX" and isinstance(raw, str) else findings.text(raw, where)
    value = SINGLES[constraint["operator"]](text, constraint, where, findings)
    if isinstance(value, PatternIssue):
        return _never(constraint, where, value.sentence, findings)
    if value != text:
        sentence = f"{text!r} is written as {value!r}, which every engine reads."
        findings.respell(where, sentence, moves=_is_read_differently(constraint["operator"], text))
    return constraint | {"value": value}


def _is_read_differently(operator: str, text: str) -> bool:
    """Return whether some engine answers otherwise with the text as it was than in its one spelling."""
    # A number is the same in all its spellings. What is written out in a pattern is wider in some engines.
    return operator == "REGEX" or (operator in DATES and not INSTANT.fullmatch(text))


def _number(text: str, _constraint: Wire, where: str, findings: Issues) -> str:
    # Not through float: the engines would be given other digits than somebody wrote.
    whole, _, fraction = f"{abs(Decimal(text)):f}".partition(".") if NUMBER.fullmatch(text) else ("", "", "")
    if not whole or len(whole) > DIGITS_MAX or len(fraction.rstrip("0")) > DIGITS_MAX:
        findings.refuse(where, f"A number with up to 15 digits before and after the point is needed, not {text!r}.")
        return "0"
    number = Decimal(text)
    return str(int(number)) if number == number.to_integral() else f"{number.normalize():f}"


def _date(text: str, _constraint: Wire, where: str, findings: Issues) -> str:
    instant = parse_timestamp(text)
    if instant is None:
        findings.refuse(where, f"A date like 2026-07-01T00:00:00.000Z is needed, not {text!r}.")
        return text
    return format_timestamp(instant)


def _version(text: str, _constraint: Wire, where: str, findings: Issues) -> str | PatternIssue:
    if VERSION.fullmatch(text) and len(text) <= VERSION_LENGTH_MAX:
        return text
    sentence = f"{truncate(text)} is no semantic version without a build, such as 1.20.3 or 2.0.0-rc.1."
    if NEARLY_A_VERSION.match(text):
        findings.refuse(where, f"{sentence} Engines differ on it.")
        return text
    return PatternIssue(PatternFeature.INVALID, sentence)


def _pattern(text: str, _constraint: Wire, where: str, findings: Issues) -> str | PatternIssue:
    pattern = canonical_pattern(text)
    if isinstance(pattern, PatternIssue):
        if pattern.fault is PatternFeature.INVALID:
            return pattern
        findings.refuse(where, pattern.sentence)
        return text
    if pattern.endswith("\\"):
        findings.refuse(where, "It ends in a backslash, which switches the whole flag off in some engines.")
    return pattern


SINGLES: dict[str, Callable[[str, Wire, str, Issues], str | PatternIssue]] = {
    **dict.fromkeys(NUMBERS, _number),
    **dict.fromkeys(DATES, _date),
    **dict.fromkeys(VERSIONS, _version),
    "REGEX": _pattern,
}


def _never(constraint: Wire, where: str, because: str, findings: Issues) -> Wire:
    """Return a constraint that nobody meets, which is what engines make of this one; they differ on its opposite."""
    if constraint["inverted"]:
        findings.refuse(where, f"{because} Engines differ on the opposite of that.")
    else:
        # One engine switches the whole flag off for some of these, whatever its other strategies say.
        findings.respell(where, f"{because} It matches nobody, and is sent as a list without entries.")
    return NEVER | {"contextName": constraint["contextName"]}
