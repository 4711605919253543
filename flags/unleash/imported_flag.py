"""Flags in Unleash's own words, answered as functions where they can be, else by its official engine."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from flags.evaluation.evaluator import Reason
from flags.evaluation.unleash_engine import Engine, engine
from flags.unleash.compiled_rules import CompiledRules, compile_rules, context_fields
from flags.unleash.compiler import Wire
from flags.unleash.feature_payload import EncodedFeature, FeaturePayload, encode, join

USER_ID = "userId"
BY_USER = ("userWithId", "gradualRolloutUserId")


class EngineContext:
    """A context as a flag reads it: by its fields, or as the JSON of engines, written when needed."""

    def __init__(self, document: Mapping[str, object]) -> None:
        self._document = document
        self.fields = context_fields(document)
        self.engine_asked = False
        """Whether an engine had to be asked, which may have drawn at random."""

    @cached_property
    def json(self) -> bytes:
        """Return the context as JSON."""
        self.engine_asked = True
        return encode(self._document)


@dataclass(frozen=True, slots=True)
class ImportedFlag:
    """A flag ready to be asked. `constant` is its answer for everybody where no context can change it."""

    name: bytes
    constant: bool | None
    has_variants: bool
    reason_when_on: Reason
    engine: Engine
    rules: CompiledRules | None
    """The flag as functions, where it can be some."""
    depends_on_user: bool = False
    """Some of its strategies let in by the user's id, so nobody in particular may be off for lack of one."""

    def is_on(self, context: EngineContext) -> bool:
        """Return whether the flag is on for this context."""
        if self.constant is not None:
            return self.constant
        answer = self.rules.is_on(context.fields) if self.rules else None
        return self.engine.is_enabled(self.name, context.json) if answer is None else answer

    def reason(self, *, value: bool) -> Reason:
        """Return the reason of this value."""
        if value:
            return self.reason_when_on
        return Reason.DISABLED if self.constant is False else Reason.DEFAULT

    def variant(self, context: EngineContext) -> Mapping[str, Any] | None:
        """Return the variant in the engine's words; None for a flag that has none."""
        if not self.has_variants:
            return None
        # The rules say which variant of a flag that is on; an engine says none of one that is off.
        if self.rules and self.rules.variant and self.constant is not False:
            chosen = self.rules.variant(context.fields)
            if chosen is not None:
                return chosen
        return self.engine.variant(self.name, context.json)


def imported_flags(contents: FeaturePayload, names: Iterable[str]) -> dict[str, ImportedFlag]:
    """Return the flags of `contents` with these names."""
    wires = {name: contents.features[name].wire for name in names}
    if not wires:
        return {}
    unleash = engine(_state(contents, wires))
    segments = {number: segment.wire["constraints"] for number, segment in contents.segments.items()}
    features = {name: item.wire for name, item in contents.features.items()}
    return {name: _flag(wire, unleash, segments, features) for name, wire in wires.items()}


def _flag(
    wire: Wire, unleash: Engine, segments: Mapping[int, Sequence[Wire]], features: Mapping[str, Wire]
) -> ImportedFlag:
    has_variants = bool(wire.get("variants")) or any(strategy.get("variants") for strategy in wire["strategies"])
    return ImportedFlag(
        name=wire["name"].encode(),
        constant=_constant(wire),
        has_variants=has_variants,
        reason_when_on=_reason_when_on(wire, has_variants=has_variants),
        engine=unleash,
        rules=compile_rules(wire, segments, features),
        depends_on_user=any(_depends_on_user(each, segments) for each in _with_parents(wire, features)),
    )


def _with_parents(wire: Wire, features: Mapping[str, Wire]) -> Iterator[Wire]:
    """Yield the strategies of a flag, and of those on that it depends on."""
    parents = [features[each["feature"]] for each in wire.get("dependencies") or () if each["feature"] in features]
    for each in (wire, *(parent for parent in parents if parent["enabled"])):
        yield from each["strategies"]


def _depends_on_user(strategy: Wire, segments: Mapping[int, Sequence[Wire]]) -> bool:
    if strategy["name"] in BY_USER or strategy.get("parameters", {}).get("stickiness") == USER_ID:
        return True
    of_segments = [each for number in strategy.get("segments") or () for each in segments.get(number, ())]
    return any(each["contextName"] == USER_ID for each in (*strategy.get("constraints", ()), *of_segments))


def _state(contents: FeaturePayload, wires: Mapping[str, Wire]) -> bytes:
    """Return the engine's state: these flags, those they depend on, and the segments that any of them names."""
    parents = {parent["feature"] for wire in wires.values() for parent in wire.get("dependencies") or ()}
    features = [contents.features[name] for name in sorted(wires.keys() | parents) if name in contents.features]
    segments = [contents.segments[key] for key in sorted(_segments(features)) if key in contents.segments]
    return b'{"version":2,"features":' + join(features) + b',"segments":' + join(segments) + b"}"


def _segments(features: Iterable[EncodedFeature]) -> set[int]:
    strategies = (strategy for item in features for strategy in item.wire["strategies"])
    return {key for strategy in strategies for key in strategy.get("segments") or ()}


def _constant(wire: Wire) -> bool | None:
    if not wire["enabled"]:
        return False
    # The parent may depend on the user.
    if wire.get("dependencies"):
        return None
    return True if any(map(_is_open, wire["strategies"])) else None


def _is_open(strategy: Wire) -> bool:
    return strategy["name"] == "default" and not strategy.get("constraints") and not strategy.get("segments")


def _reason_when_on(wire: Wire, *, has_variants: bool) -> Reason:
    if has_variants or any(strategy["name"] != "default" for strategy in wire["strategies"]):
        return Reason.SPLIT
    return Reason.STATIC if _constant(wire) else Reason.TARGETING_MATCH
