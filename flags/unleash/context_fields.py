"""Which fields of a context decide about flags, so that a service knows what to send. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flags.unleash.compiler import Wire

USER_ID = "userId"
RANDOM = "random"
BY_STRATEGY = {
    "userWithId": USER_ID,
    "gradualRolloutUserId": USER_ID,
    "gradualRolloutSessionId": "sessionId",
    "remoteAddress": "remoteAddress",
}
"""The field that a strategy goes by of itself."""


@dataclass(slots=True)
class ContextField:
    """A field, the operators that compare it, and the flags and segments that go by it."""

    name: str
    operators: set[str] = field(default_factory=set)
    is_stickiness: bool = False
    """Users are drawn by it, for a share or for a variant."""
    flags: set[str] = field(default_factory=set)
    segments: set[int] = field(default_factory=set)

    def to_json(self) -> dict[str, object]:
        """Return the field as JSON."""
        return {
            "name": self.name,
            "operators": sorted(self.operators),
            "stickiness": self.is_stickiness,
            "flags": sorted(self.flags),
            "segments": sorted(self.segments),
        }


def context_fields(features: Iterable[Wire], segments: Iterable[Wire]) -> list[ContextField]:
    """Return every field that some flag or segment goes by, by name."""
    found: dict[str, ContextField] = {}
    by_id = {wire["id"]: wire["constraints"] for wire in segments}
    for number, constraints in by_id.items():
        for each in constraints:
            _compared(found, each).segments.add(number)
    for feature in features:
        _add_feature(found, feature, by_id)
    return [found[name] for name in sorted(found)]


def _add_feature(found: dict[str, ContextField], feature: Wire, segments: Mapping[int, Sequence[Wire]]) -> None:
    name = feature["name"]
    for strategy in feature["strategies"]:
        of_segments = (each for number in strategy.get("segments") or () for each in segments.get(number, ()))
        for each in (*(strategy.get("constraints") or ()), *of_segments):
            _compared(found, each).flags.add(name)
        if strategy["name"] in BY_STRATEGY:
            _field(found, BY_STRATEGY[strategy["name"]]).flags.add(name)
    for each in _overrides(feature):
        _field(found, each).flags.add(name)
    for stickiness in _stickiness_of(feature):
        sticky = _field(found, stickiness)
        sticky.is_stickiness = True
        sticky.flags.add(name)


def _stickiness_of(feature: Wire) -> Iterator[str]:
    """Yield the fields by which users are drawn; by the user where none is named."""
    variants = [*(feature.get("variants") or ())]
    for strategy in feature["strategies"]:
        variants += strategy.get("variants") or ()
        parameters: dict[str, Any] = strategy.get("parameters") or {}
        if "rollout" in parameters:
            yield from _named(parameters.get("stickiness"))
    for each in variants:
        yield from _named(each.get("stickiness"))


def _overrides(feature: Wire) -> Iterator[str]:
    for variant in feature.get("variants") or ():
        for each in variant.get("overrides") or ():
            yield each["contextName"]


def _named(stickiness: object) -> Iterator[str]:
    if stickiness != RANDOM:
        yield USER_ID if stickiness in (None, "", "default") else str(stickiness)


def _compared(found: dict[str, ContextField], constraint: Wire) -> ContextField:
    compared = _field(found, constraint["contextName"])
    compared.operators.add(constraint["operator"])
    return compared


def _field(found: dict[str, ContextField], name: str) -> ContextField:
    return found.setdefault(name, ContextField(name))
