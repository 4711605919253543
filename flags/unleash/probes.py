"""The parts of a flag in Unleash's own words, each as a flag by itself and as a sentence."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from flags.evaluation.contexts import KNOWN_FIELDS, Context
from flags.unleash.compiler import Wire

OPEN: Wire = {"name": "default", "parameters": {}, "constraints": [], "segments": []}
VALUES_QUOTED_MAX = 5
TEXT_QUOTED_MAX = 60
OPPOSITES = {"IN": "NOT_IN", "NOT_IN": "IN"}
"""Operators of which one holds exactly where the other does not, also for whom the attribute is unknown."""
OPERATORS = {
    "IN": "is one of",
    "NOT_IN": "is none of",
    "STR_STARTS_WITH": "starts with",
    "STR_ENDS_WITH": "ends with",
    "STR_CONTAINS": "contains",
    "NUM_EQ": "equals",
    "NUM_GT": "is above",
    "NUM_GTE": "is at least",
    "NUM_LT": "is below",
    "NUM_LTE": "is at most",
    "DATE_AFTER": "is after",
    "DATE_BEFORE": "is before",
    "SEMVER_EQ": "is version",
    "SEMVER_GT": "is above version",
    "SEMVER_GTE": "is at least version",
    "SEMVER_LT": "is below version",
    "SEMVER_LTE": "is at most version",
    "REGEX": "matches",
    "IN_CIDR": "lies in",
}


class Question(StrEnum):
    """The kinds of probes."""

    SWITCH = "switch"
    DEPENDENCY = "dependency"
    CONSTRAINT = "constraint"
    SEGMENT = "segment"
    STRATEGY = "strategy"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Probe:
    """One part: the flag that stands for it, and what it asks. `strategy` counts from 1, 0 for a dependency."""

    question: Question
    wire: Wire
    question_text: str
    strategy: int = 0
    field: str = ""

    @property
    def name(self) -> str:
        """Return the probe's name in the engine."""
        return str(self.wire["name"])

    @property
    def is_condition(self) -> bool:
        """Return whether a strategy checks it before its own rule."""
        return self.question in (Question.CONSTRAINT, Question.SEGMENT)

    def sentence(self, context: Context, *, is_met: bool) -> str:
        """Return the question and its answer as a sentence."""
        if self.question is Question.STRATEGY:
            return f"{self.question_text} {'lets this user in' if is_met else 'does not let this user in'}."
        has = f" Here it is {_quoted(found)}." if (found := _value(context, self.field)) else ""
        unknown = " Nothing is known of it here." if self.field and not found else ""
        return f"{self.question_text}: {'yes' if is_met else 'no'}.{has}{unknown}"


def probes_of(feature: Wire) -> Iterator[Probe]:
    """Yield the parts in the order in which they are asked.

    Dependencies come first, then each strategy after its own conditions.
    """
    for number, dependency in enumerate(feature.get("dependencies") or (), start=1):
        wire = {**_probe(f"dependency {number}", OPEN), "dependencies": [dependency]}
        yield Probe(Question.DEPENDENCY, wire, dependency_text(dependency))
    for number, strategy in enumerate(feature["strategies"], start=1):
        yield from _conditions(number, strategy)
        own = {**strategy, "variants": []}
        yield Probe(Question.STRATEGY, _probe(f"strategy {number}", own), _strategy(number, strategy), number)


def _conditions(number: int, strategy: Wire) -> Iterator[Probe]:
    for place, constraint in enumerate(strategy.get("constraints") or (), start=1):
        wire = _probe(f"strategy {number} constraint {place}", {**OPEN, "constraints": [constraint]})
        text = f"Strategy {number} asks whether {constraint_text(constraint)}"
        yield Probe(Question.CONSTRAINT, wire, text, number, constraint["contextName"])
    for key in strategy.get("segments") or ():
        wire = _probe(f"strategy {number} segment {key}", {**OPEN, "segments": [key]})
        yield Probe(Question.SEGMENT, wire, f"Strategy {number} asks whether this user is in segment {key}", number)


def _probe(name: str, strategy: Wire) -> Wire:
    return {"name": name, "type": "release", "project": "default", "enabled": True, "strategies": [strategy]}


def dependency_text(dependency: Mapping[str, Any]) -> str:
    """Return what a dependency asks for, as a sentence without its end."""
    wanted = "being on" if dependency.get("enabled", True) else "being off"
    if variants := dependency.get("variants"):
        wanted = f"giving {' or '.join(map(str, variants))}"
    return f"It depends on {dependency['feature']} {wanted}"


def _strategy(number: int, strategy: Wire) -> str:
    given = strategy.get("parameters") or {}
    share = given.get("rollout", given.get("percentage"))
    return f"Strategy {number}, {strategy['name']}{f' of {share} %' if share is not None else ''},"


def constraint_text(constraint: Mapping[str, Any]) -> str:
    """Return a constraint as a condition inside a sentence."""
    values = constraint.get("values") or ([constraint["value"]] if constraint.get("value") is not None else [])
    quoted = ", ".join(_quoted(str(value)) for value in values[:VALUES_QUOTED_MAX])
    more = f" and {len(values) - VALUES_QUOTED_MAX} more" if len(values) > VALUES_QUOTED_MAX else ""
    name, inverted = plain_operator(constraint)
    condition = f"{constraint['contextName']} {OPERATORS.get(name, name)} {quoted or 'nothing'}{more}"
    return f"it is not true that {condition}" if inverted else condition


def plain_operator(constraint: Mapping[str, Any]) -> tuple[str, bool]:
    """Return the operator, and whether it is inverted: a list of values has an operator for its opposite."""
    name, inverted = constraint["operator"], bool(constraint.get("inverted"))
    return (OPPOSITES[name], False) if inverted and name in OPPOSITES else (name, inverted)


def _value(context: Context, field: str) -> str | None:
    if field in KNOWN_FIELDS:
        found: str | None = getattr(context, KNOWN_FIELDS[field])
        return found
    return context.properties.get(field)


def _quoted(text: str) -> str:
    return f"“{text if len(text) <= TEXT_QUOTED_MAX else text[:TEXT_QUOTED_MAX] + '…'}”"
