"""A feature set with everything that many callers ask for prepared: whole payloads for SDKs, and what changed since."""

import gzip
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b

import brotli

from control_plane.platform import clock
from flags.client_features.delta_log import Delta, DeltaLog, hydration
from flags.client_features.feature_set import FeatureSet, of_projects
from flags.client_features.results import FlagResults
from flags.unleash.feature_payload import PROJECT, FeaturePayload, encode, inline_segments, join

ENCODINGS: Mapping[str, Callable[[bytes], bytes]] = {
    "br": lambda body: brotli.compress(body, mode=brotli.MODE_TEXT, quality=6),
    "gzip": lambda body: gzip.compress(body, 6, mtime=0),
}
"""How a payload is compressed, the smaller first; with more effort the request that does it would wait for long."""
NO_FILTERS: dict[str, object] = {}


@dataclass(frozen=True)
class Payload:
    """A prepared body and its strong entity tag."""

    body: bytes
    etag: str

    def compressed(self, encoding: str) -> bytes:
        """Return the body in this encoding, made at the first use and kept for as long as nothing changes."""
        if encoding not in self._compressed:
            self._compressed[encoding] = ENCODINGS[encoding](self.body)
        return self._compressed[encoding]

    @cached_property
    def _compressed(self) -> dict[str, bytes]:
        return {}


@dataclass(frozen=True)
class PreparedPayloads:
    """A feature set as it is served. `inlined` is for SDKs that don't know segments."""

    feature_set: FeatureSet
    features: Payload
    inlined: Payload
    history: DeltaLog

    def of_projects(self, projects: tuple[str, ...]) -> "PreparedPayloads":
        """Return what a token held to these projects shows; all of it for one that is held to none."""
        if not projects:
            return self
        if projects not in self.by_projects:
            self.by_projects.setdefault(projects, prepare(of_projects(self.feature_set, projects)))
        return self.by_projects[projects]

    def follow_projects(self, before: "PreparedPayloads") -> None:
        """Prepare what was asked of `before` by projects, with what changed since, so that its streams go on."""
        for projects, known in before.by_projects.copy().items():
            held = of_projects(self.feature_set, projects, known.feature_set)
            self.by_projects[projects] = prepare(held, known)

    @cached_property
    def by_projects(self) -> dict[tuple[str, ...], "PreparedPayloads"]:
        """Hold the payloads that tokens of some projects asked for, by those."""
        return {}

    @cached_property
    def hydration(self) -> bytes:
        """Return the events that give everything to who has nothing, as a JSON document."""
        return _events([hydration(self.feature_set.id, self.feature_set.contents)])

    def since(self, feature_set_tag: str) -> bytes | None:
        """Return the events that lead here from that feature set, as a JSON document.

        None when it is not remembered.
        """
        if feature_set_tag not in self._since:
            events = self.history.since(feature_set_tag)
            self._since[feature_set_tag] = None if events is None else _events(events)
        return self._since[feature_set_tag]

    @cached_property
    def _since(self) -> dict[str, bytes | None]:
        return {}

    @cached_property
    def results(self) -> FlagResults:
        """Return the evaluator for clients without an engine of their own; built at the first use."""
        return FlagResults(self.feature_set, clock.now())


def prepare(feature_set: FeatureSet, before: PreparedPayloads | None = None) -> PreparedPayloads:
    """Prepare `feature_set`; what is the same as `before` is not prepared again."""
    contents = feature_set.contents
    if before and before.feature_set.tag == feature_set.tag:
        return PreparedPayloads(feature_set, before.features, before.inlined, before.history)
    history = (
        before.history.append(feature_set.id, before.feature_set.contents, contents)
        if before
        else _first_events(feature_set)
    )
    plain = inline_segments(contents) if contents.segments else contents
    return PreparedPayloads(
        feature_set, features(feature_set, contents), features(feature_set, plain, inline=True), history
    )


def features(
    feature_set: FeatureSet,
    contents: FeaturePayload,
    *,
    filters: dict[str, object] = NO_FILTERS,
    inline: bool = False,
) -> Payload:
    """Return the body of `GET /api/client/features`, named by what is in it rather than by when it was made."""
    query = {
        "project": [*feature_set.projects] or [PROJECT],
        "environment": feature_set.environment,
        "inlineSegmentConstraints": inline,
        **filters,
    }
    query_hash = blake2b(encode(query), digest_size=4).hexdigest()
    etag = f'"{query_hash}:{contents.digest}"'
    parts = [
        b'{"version":2,"features":',
        join(contents.features.values()),
        b',"query":',
        encode(query),
        b"" if inline else b',"segments":' + join(contents.segments.values()),
        b',"meta":',
        encode({"revisionId": feature_set.id, "etag": etag, "queryHash": query_hash}),
        b"}",
    ]
    return Payload(b"".join(parts), etag)


def _first_events(feature_set: FeatureSet) -> DeltaLog:
    return DeltaLog((Delta(feature_set.tag),))


def _events(events: Iterable[bytes]) -> bytes:
    return b'{"events":[' + b",".join(events) + b"]}"
