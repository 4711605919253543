"""The differences between successive feature sets, for SDKs that follow instead of polling."""

from collections.abc import Iterator
from dataclasses import dataclass

from flags.unleash.feature_payload import FeaturePayload, encode, join

DELTAS_MAX = 100


def tag(feature_set_id: int, contents: FeaturePayload) -> str:
    """Name a feature set by its id and by what is in it."""
    # The id alone is not enough: revisions are counted again after a restore, and an id comes back with other contents.
    return f"{feature_set_id}.{contents.digest}"


def id_of_tag(text: str) -> int:
    """Return the id in a tag."""
    return int(text.partition(".")[0])


@dataclass(frozen=True, slots=True)
class Delta:
    """The feature set with this tag, and the events that lead to it from the one before, as JSON."""

    tag: str
    events: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class DeltaLog:
    """The latest feature sets in their order; the last is the present one."""

    steps: tuple[Delta, ...]

    def append(self, feature_set_id: int, before: FeaturePayload, after: FeaturePayload) -> "DeltaLog":
        """Return the log with one more step."""
        step = Delta(tag(feature_set_id, after), tuple(diff(feature_set_id, before, after)))
        return DeltaLog((*self.steps, step)[-DELTAS_MAX:])

    def since(self, feature_set_tag: str) -> list[bytes] | None:
        """Return the events that lead from that feature set to the present one; None when it is not remembered."""
        # From the newest: most callers are one step behind.
        for place in range(len(self.steps) - 1, -1, -1):
            if self.steps[place].tag == feature_set_tag:
                return [event for step in self.steps[place + 1 :] for event in step.events]
        return None


def hydration(feature_set_id: int, contents: FeaturePayload) -> bytes:
    """Return the event that replaces everything, as JSON."""
    features, segments = join(contents.features.values()), join(contents.segments.values())
    return b'{"type":"hydration","eventId":%d,"features":%s,"segments":%s}' % (feature_set_id, features, segments)


def diff(feature_set_id: int, before: FeaturePayload, after: FeaturePayload) -> Iterator[bytes]:
    """Yield the events from one to the other. No feature comes before its segments, and none is left without them."""
    for key, segment in after.segments.items():
        # By identity: `FeaturePayload.of` keeps the object of whatever is equal to the one before.
        if segment is not before.segments.get(key):
            yield b'{"type":"segment-updated","eventId":%d,"segment":%s}' % (feature_set_id, segment.encoded)
    for name, feature in after.features.items():
        if feature is not before.features.get(name):
            yield b'{"type":"feature-updated","eventId":%d,"feature":%s}' % (feature_set_id, feature.encoded)
    for name, feature in before.features.items():
        if name not in after.features:
            gone = {"featureName": name, "project": feature.wire.get("project", "default")}
            yield encode({"type": "feature-removed", "eventId": feature_set_id, **gone})
    for key in sorted(before.segments.keys() - after.segments.keys()):
        yield encode({"type": "segment-removed", "eventId": feature_set_id, "segmentId": key})
