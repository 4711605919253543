"""Flags in Unleash's own words as Python functions that give the official engine's answer. Pure.

A browser asks for all flags at once, and the engine reads the context anew for each, which takes ten times as long as
the rules. Patterns, hosts and draws at random are left to it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from flags.evaluation.bucketing import bucket_test
from flags.unleash.canonical.dependencies import always_has_variant
from flags.unleash.compiled_constraints import (
    EngineNeeded,
    Fields,
    NotCompiled,
    Rule,
    compile_constraint,
    may_need_engine,
    within,
)
from flags.unleash.compiled_variants import OFF, Choice, compile_choice
from flags.unleash.compiler import Wire

Strategy = Callable[[Fields], bool | None]
"""Returns None where only the engine can tell."""
Wires = Mapping[str, Wire]
NO_PARENTS: Wires = {}

USER, SESSION = "userId", "sessionId"


class CompiledRules(NamedTuple):
    """A flag as functions: whether it is on, and which variant it gives; None where only the engine can tell."""

    is_on: Strategy
    variant: Choice | None
    """None where the engine has to choose, whoever asks."""


def compile_rules(
    wire: Wire, segments: Mapping[int, Sequence[Wire]], features: Wires = NO_PARENTS
) -> CompiledRules | None:
    """Return a flag that is switched on as functions; None where the engine has to be asked, whoever asks.

    `segments` are constraints by the id of their segment, `features` what it may depend on, by name.
    """
    try:
        strategies = [_strategy(each, segments) for each in wire["strategies"]]
        parents = [_parent(each, segments, features) for each in wire.get("dependencies") or ()]
    except NotCompiled:
        return None
    own, after = _any(strategies), _all(parents)
    is_on = _after(after, own) if parents else own
    try:
        choices = [compile_choice(wire, each) for each in wire["strategies"]]
    except NotCompiled:
        return CompiledRules(is_on, None)
    return CompiledRules(is_on, _variant(after, strategies, choices))


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


def _all(parents: Sequence[Strategy]) -> Strategy:
    def holds(fields: Fields) -> bool | None:
        answer: bool | None = True
        for parent in parents:
            found = parent(fields)
            if found is False:
                return False
            answer = None if found is None else answer
        return answer

    return holds


def _after(parents: Strategy, own: Strategy) -> Strategy:
    def is_on(fields: Fields) -> bool | None:
        found = parents(fields)
        return own(fields) if found else found

    return is_on


def _variant(after: Strategy, strategies: Sequence[Strategy], choices: Sequence[Choice]) -> Choice:
    """Choose as the first strategy that lets somebody in does, by its own variants or by the flag's."""

    def variant(fields: Fields) -> Wire | None:
        found = after(fields)
        for strategy, choice in zip(strategies, choices, strict=True) if found else ():
            found = strategy(fields)
            if found is None or found:
                return choice(fields) if found else None
        return None if found is None else OFF

    return variant


def _parent(wire: Wire, segments: Mapping[int, Sequence[Wire]], features: Wires) -> Strategy:
    """Return a dependency as the condition that it is.

    A parent that is missing, or has parents itself, fulfils none.
    """
    parent = features.get(wire["feature"])
    if parent is None or parent.get("dependencies"):
        return lambda _fields: False
    is_wanted = wire.get("enabled", True) is not False
    if not parent["enabled"]:
        return lambda _fields: not is_wanted
    rules = compile_rules(parent, segments)
    names = frozenset(wire.get("variants") or ()) if is_wanted else frozenset()
    if rules is None or (names and rules.variant is None):
        raise NotCompiled
    if names and not always_has_variant(parent):
        raise NotCompiled  # engines differ where a parent gives none; import refuses it
    if names and rules.variant is not None:
        return _by_variant(rules.is_on, rules.variant, names)
    return rules.is_on if is_wanted else _negation(rules.is_on)


def _by_variant(is_on: Strategy, variant: Choice, names: frozenset[str]) -> Strategy:
    def holds(fields: Fields) -> bool | None:
        found = is_on(fields)
        if not found:
            return found
        chosen = variant(fields)
        return None if chosen is None else chosen["name"] in names

    return holds


def _negation(is_on: Strategy) -> Strategy:
    def holds(fields: Fields) -> bool | None:
        found = is_on(fields)
        return None if found is None else not found

    return holds


def _strategy(wire: Wire, segments: Mapping[int, Sequence[Wire]]) -> Strategy:
    constraints = list(wire.get("constraints") or ())
    for number in wire.get("segments") or ():
        if number not in segments:
            raise NotCompiled
        constraints += segments[number]
    rules = [compile_constraint(each) for each in constraints]
    chosen = STRATEGIES.get(wire["name"])
    if chosen is None:
        raise NotCompiled
    strategy = _constrained(chosen(wire.get("parameters") or {}), rules)
    return _or_engine(strategy) if any(map(may_need_engine, constraints)) else strategy


def _constrained(strategy: Strategy, rules: Sequence[Rule]) -> Strategy:
    if not rules:
        return strategy
    if len(rules) == 1:
        (only,) = rules
        return lambda fields: strategy(fields) if only(fields) else False
    return lambda fields: strategy(fields) if all(rule(fields) for rule in rules) else False


def _or_engine(strategy: Strategy) -> Strategy:
    def is_on(fields: Fields) -> bool | None:
        try:
            return strategy(fields)
        except EngineNeeded:
            return None

    return is_on


def _everybody(_parameters: Wire) -> Strategy:
    return lambda _fields: True


def _flexible(parameters: Wire) -> Strategy:
    percentage, group, stickiness = _share(parameters, "rollout"), _group(parameters), parameters.get("stickiness")
    if stickiness == "random" or not stickiness:
        return _random_share(percentage)
    if stickiness == "default":
        is_in = bucket_test(group, percentage)

        def by_default(fields: Fields) -> bool | None:
            who = fields.get(USER) or fields.get(SESSION)
            return None if who is None else is_in(who)

        return by_default
    return _share_by(stickiness, group, percentage)


def _random_share(percentage: int) -> Strategy:
    """Leave a share that is drawn anew each time to the engine, unless it is nobody or everybody."""
    if percentage not in (0, 100):
        raise NotCompiled
    return lambda _fields: percentage == 100


def _addresses(parameters: Wire) -> Strategy:
    return _or_engine(within("remoteAddress", [each for each in parameters.get("IPs", "").split(",") if each.strip()]))


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
    "gradualRolloutRandom": lambda parameters: _random_share(_share(parameters, "percentage")),
    "gradualRolloutUserId": _gradual(USER),
    "gradualRolloutSessionId": _gradual(SESSION),
    "remoteAddress": _addresses,
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
