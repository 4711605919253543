"""The payload of an environment for SDKs, as objects and as bytes."""

import json
import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b

from flags.unleash.compiler import Wire

NEVER: Wire = {"contextName": "userId", "operator": "IN", "values": [], "inverted": False, "caseInsensitive": False}
"""A constraint that nobody meets: what a segment that does not exist stands for."""
PROJECT = "default"
"""The project of a feature that names none."""
ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class EncodedFeature:
    """A feature or a segment, and its JSON."""

    wire: Wire
    encoded: bytes


@dataclass(frozen=True, slots=True)
class FeaturePayload:
    """Features by name and segments by id, in the order in which they are sent. `digest` names exactly these."""

    features: Mapping[str, EncodedFeature] = field(default_factory=dict)
    segments: Mapping[int, EncodedFeature] = field(default_factory=dict)
    digest: str = ""

    @classmethod
    def of(
        cls, features: Iterable[Wire], segments: Iterable[Wire], *, before: "FeaturePayload | None" = None
    ) -> "FeaturePayload":
        """Return contents of these; what was the same `before` is not encoded again."""
        known = before or cls()
        by_name = {wire["name"]: wire for wire in features}
        by_id = {wire["id"]: wire for wire in segments}
        encoded = cls(
            {name: _item(by_name[name], known.features.get(name)) for name in sorted(by_name)},
            {key: _item(by_id[key], known.segments.get(key)) for key in sorted(by_id)},
        )
        return replace(encoded, digest=_digest(encoded))

    def only(self, is_wanted: Callable[[Wire], bool]) -> "FeaturePayload":
        """Return the features that are wanted, with every segment."""
        remaining = FeaturePayload(
            {name: item for name, item in self.features.items() if is_wanted(item.wire)}, self.segments
        )
        return replace(remaining, digest=_digest(remaining))

    def of_projects(self, projects: Collection[str]) -> "FeaturePayload":
        """Return the features of these projects with what they depend on, and the segments that any of them names."""
        own = [each.wire for each in self.features.values() if each.wire.get("project", PROJECT) in projects]
        parents = {parent["feature"] for wire in own for parent in wire.get("dependencies") or ()}
        # Without its parent SDKs would say that a feature is off.
        names = {wire["name"] for wire in own} | parents
        found = {name: item for name, item in self.features.items() if name in names}
        strategies = (strategy for item in found.values() for strategy in item.wire["strategies"])
        needed = {number for strategy in strategies for number in strategy.get("segments") or ()}
        held = FeaturePayload(found, {key: item for key, item in self.segments.items() if key in needed})
        return replace(held, digest=_digest(held))


def encode(value: object) -> bytes:
    """Return the JSON of a value, as compact as it gets.

    Valid whatever is in it, or one flag would spoil every answer.
    """
    try:
        text = ENCODER.encode(value)
    except ValueError:
        text = ENCODER.encode(_finite(value))
    # Half of a surrogate pair is valid in JSON and not in UTF-8.
    return text.encode(errors="replace")


def _finite(value: object) -> object:
    """Replace what is no number of JSON by null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(inner) for name, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list | tuple) else value


def join(items: Iterable[EncodedFeature]) -> bytes:
    """Return the JSON array of items that are encoded already."""
    return b"[" + b",".join(item.encoded for item in items) + b"]"


def inline_segments(contents: FeaturePayload) -> FeaturePayload:
    """Return the payload with segments inlined into each strategy, for SDKs that know no segments."""
    segments = {key: item.wire["constraints"] for key, item in contents.segments.items()}
    return FeaturePayload.of((_inline(item.wire, segments) for item in contents.features.values()), ())


def _inline(feature: Wire, segments: Mapping[int, list[Wire]]) -> Wire:
    return {**feature, "strategies": [_without_segments(strategy, segments) for strategy in feature["strategies"]]}


def _without_segments(strategy: Wire, segments: Mapping[int, list[Wire]]) -> Wire:
    remaining = {name: value for name, value in strategy.items() if name != "segments"}
    added = [constraint for key in strategy.get("segments", ()) for constraint in segments.get(key, [NEVER])]
    return {**remaining, "constraints": [*strategy.get("constraints", ()), *added]}


def _item(wire: Wire, before: EncodedFeature | None) -> EncodedFeature:
    return before if before is not None and before.wire == wire else EncodedFeature(wire, encode(wire))


def _digest(contents: FeaturePayload) -> str:
    digest = blake2b(digest_size=8)
    for item in (*contents.features.values(), *contents.segments.values()):
        digest.update(item.encoded)
        digest.update(b"\n")
    return digest.hexdigest()
