"""Events applied one after the other: from what changed to what there is."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flags.unleash.compiler import Wire


class MalformedEvent(ValueError):  # noqa: N818 - the word for it
    """An event lacks what its type says it has; the message names it."""


@dataclass(slots=True)
class FeatureState:
    """Features by name and segments by id, as a follower holds them."""

    features: dict[str, Wire] = field(default_factory=dict)
    segments: dict[int, Wire] = field(default_factory=dict)

    def apply(self, events: Iterable[Any]) -> None:
        """Take the events in their order; one of an unknown type changes nothing. Raises MalformedEvent."""
        for event in events:
            try:
                self._apply(event)
            except (KeyError, TypeError, AttributeError) as error:
                kind = event.get("type") if isinstance(event, Mapping) else event
                raise MalformedEvent(f"An event of type {str(kind)[:40]!r} lacks {error}.") from error

    def to_json(self) -> dict[str, object]:
        """Return the state in the form of `GET /api/client/features`."""
        return {"version": 2, "features": list(self.features.values()), "segments": list(self.segments.values())}

    def _apply(self, event: Mapping[str, Any]) -> None:
        match event["type"]:
            case "hydration":
                self.features = {feature["name"]: feature for feature in event["features"]}
                self.segments = {segment["id"]: segment for segment in event.get("segments") or ()}
            case "feature-updated":
                self.features[event["feature"]["name"]] = event["feature"]
            case "feature-removed":
                self.features.pop(event["featureName"], None)
            case "segment-updated":
                self.segments[event["segment"]["id"]] = event["segment"]
            case "segment-removed":
                self.segments.pop(event["segmentId"], None)


def apply_events(document: object) -> object:
    """Return a document of events as the features and segments they lead to; any other document as it is."""
    if not isinstance(document, Mapping) or not isinstance(document.get("events"), list):
        return document
    state = FeatureState()
    state.apply(document["events"])
    return state.to_json()
