"""Strategies of a flag in Unleash's own words as Python functions that give the official engine's answer. Pure.

A browser asks for all flags at once, and the engine reads the context anew for each, which takes ten times as long as
the rules. Variants, dependencies, dates, patterns, versions, networks and draws at random are left to it.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flags.evaluation.bucketing import bucket_test
from flags.unleash.compiler import Wire

Fields = Mapping[str, str]
"""Every field of a context by the name that a constraint uses for it."""
Rule = Callable[[Fields], bool]
Strategy = Callable[[Fields], bool | None]
"""Returns None where only the engine can tell."""

USER, SESSION = "userId", "sessionId"
NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
"""Numbers as the engine reads them; Python would also take blanks and underscores."""
TEXTS: Mapping[str, Callable[[str, Sequence[str]], bool]] = {
    "STR_STARTS_WITH": lambda text, values: text.startswith(tuple(values)),
    "STR_ENDS_WITH": lambda text, values: text.endswith(tuple(values)),
    "STR_CONTAINS": lambda text, values: any(value in text for value in values),
}
NUMBERS: Mapping[str, Callable[[float, float], bool]] = {
    "NUM_EQ": lambda number, value: number == value,
    "NUM_GT": lambda number, value: number > value,
    "NUM_GTE": lambda number, value: number >= value,
    "NUM_LT": lambda number, value: number < value,
    "NUM_LTE": lambda number, value: number <= value,
}


class NotCompiled(Exception):  # noqa: N818 - not an error: the engine answers then
    """This is left to the engine."""


def compile_rules(wire: Wire, segments: Mapping[int, Sequence[Wire]]) -> Strategy | None:
    """Return the answer of a flag that is switched on as a function; None where the engine has to be asked.

    `segments` are constraints by the id of their segment.
    """
    if wire.get("variants") or wire.get("dependencies"):
        return None
    try:
        return _any([_strategy(each, segments) for each in wire["strategies"]])
    except NotCompiled:
        return None


def context_fields(document: Mapping[str, Any]) -> Fields:
    """Return the fields of a context in the JSON that engines read; a property hides no field of Unleash's own."""
    own = {name: value for name, value in document.items() if name != "properties"}
    return {**document["properties"], **own}


def _any(strategies: Sequence[Strategy]) -> Strategy:
    if len(strategies) == 1:
        return strategies[0]

    def is_on(fields: Fields) -> bool | None:
        answer: bool | None = False
        for strategy in strategies:
            found = strategy(fields)
            if found:
                return True
            answer = None if found is None else answer
        return answer

    return is_on


def _strategy(wire: Wire, segments: Mapping[int, Sequence[Wire]]) -> Strategy:
    if wire.get("variants"):
        raise NotCompiled
    constraints = list(wire.get("constraints") or ())
    for number in wire.get("segments") or ():
        if number not in segments:
            raise NotCompiled
        constraints += segments[number]
    rules = [_constraint(each) for each in constraints]
    chosen = STRATEGIES.get(wire["name"])
    if chosen is None:
        raise NotCompiled
    strategy = chosen(wire.get("parameters") or {})
    if not rules:
        return strategy
    if len(rules) == 1:
        (only,) = rules
        return lambda fields: strategy(fields) if only(fields) else False
    return lambda fields: strategy(fields) if all(rule(fields) for rule in rules) else False


def _everybody(_parameters: Wire) -> Strategy:
    return lambda _fields: True


def _flexible(parameters: Wire) -> Strategy:
    percentage, group, stickiness = _share(parameters, "rollout"), _group(parameters), parameters.get("stickiness")
    if stickiness == "random" or not stickiness:
        raise NotCompiled
    if stickiness == "default":
        is_in = bucket_test(group, percentage)

        def by_default(fields: Fields) -> bool | None:
            who = fields.get(USER) or fields.get(SESSION)
            return None if who is None else is_in(who)

        return by_default
    return _share_by(stickiness, group, percentage)


def _gradual(field: str) -> Callable[[Wire], Strategy]:
    return lambda parameters: _share_by(field, _group(parameters), _share(parameters, "percentage"))


def _share_by(field: str, group: str, percentage: int) -> Strategy:
    is_in = bucket_test(group, percentage)

    def of_field(fields: Fields) -> bool:
        who = fields.get(field)
        return who is not None and is_in(who)

    return of_field


def _listed(parameters: Wire) -> Strategy:
    users = frozenset(each.strip() for each in parameters.get("userIds", "").split(","))
    return lambda fields: fields.get(USER) in users


STRATEGIES: Mapping[str, Callable[[Wire], Strategy]] = {
    "default": _everybody,
    "flexibleRollout": _flexible,
    "gradualRolloutUserId": _gradual(USER),
    "gradualRolloutSessionId": _gradual(SESSION),
    "userWithId": _listed,
}


def _share(parameters: Wire, name: str) -> int:
    text = str(parameters.get(name, ""))
    if not (text.isascii() and text.isdecimal()) or int(text) > 100:
        raise NotCompiled
    return int(text)


def _group(parameters: Wire) -> str:
    group = parameters.get("groupId")
    if not isinstance(group, str):
        raise NotCompiled
    return group


def _constraint(wire: Wire) -> Rule:
    rule = _condition(wire)
    return (lambda fields: not rule(fields)) if wire.get("inverted") else rule


def _condition(wire: Wire) -> Rule:
    field, operator = wire["contextName"], wire["operator"]
    if operator in ("IN", "NOT_IN"):
        return _membership(field, frozenset(wire.get("values") or ()), wanted=operator == "IN")
    if operator in TEXTS:
        return _text(field, TEXTS[operator], wire.get("values") or (), folded=bool(wire.get("caseInsensitive")))
    if operator in NUMBERS and NUMBER.fullmatch(str(wire.get("value"))):
        return _number(field, NUMBERS[operator], float(wire["value"]))
    raise NotCompiled


def _membership(field: str, values: frozenset[str], *, wanted: bool) -> Rule:
    return lambda fields: (fields.get(field) in values) is wanted


def _text(field: str, holds: Callable[[str, Sequence[str]], bool], values: Sequence[str], *, folded: bool) -> Rule:
    if folded and not all(value.isascii() for value in values):
        raise NotCompiled
    wanted = [value.lower() for value in values] if folded else list(values)

    def matches(fields: Fields) -> bool:
        text = fields.get(field)
        return text is not None and holds(text.lower() if folded else text, wanted)

    return matches


def _number(field: str, holds: Callable[[float, float], bool], value: float) -> Rule:
    def matches(fields: Fields) -> bool:
        text = fields.get(field)
        return text is not None and NUMBER.fullmatch(text) is not None and holds(float(text), value)

    return matches
