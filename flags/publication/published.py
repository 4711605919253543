"""An edition with everything that many callers ask for prepared: whole payloads for SDKs, and what changed since."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from hashlib import blake2b

from flags.publication.answers import Answers
from flags.publication.contents import Contents, encode, inlined, joined
from flags.publication.edition import Edition
from flags.publication.history import History, Step, hydration

PROJECT = "default"


@dataclass(frozen=True, slots=True)
class Payload:
    """A prepared body and its strong entity tag."""

    body: bytes
    etag: str


@dataclass(frozen=True)
class Published:
    """An edition as it is served. `inlined` is for SDKs that don't know segments."""

    edition: Edition
    features: Payload
    inlined: Payload
    history: History

    @cached_property
    def hydration(self) -> bytes:
        """The events that give everything to who has nothing, as a JSON document."""
        return _events([hydration(self.edition.id, self.edition.contents)])

    def since(self, edition_tag: str) -> bytes | None:
        """The events that lead here from that edition, as a JSON document; None when it is not remembered."""
        if edition_tag not in self._since:
            events = self.history.since(edition_tag)
            self._since[edition_tag] = None if events is None else _events(events)
        return self._since[edition_tag]

    @cached_property
    def _since(self) -> dict[str, bytes | None]:
        return {}

    @cached_property
    def answers(self) -> Answers:
        """What it answers to callers who don't evaluate by themselves; prepared when the first of them asks."""
        return Answers(self.edition, datetime.now(UTC))


def publish(edition: Edition, before: Published | None = None) -> Published:
    """Prepare `edition`; what is the same as `before` is not prepared again."""
    contents = edition.contents
    if before and before.edition.tag == edition.tag:
        return Published(edition, before.features, before.inlined, before.history)
    history = before.history.then(edition.id, before.edition.contents, contents) if before else _beginning(edition)
    plain = inlined(contents) if contents.segments else contents
    return Published(edition, features(edition, contents), features(edition, plain, inline=True), history)


def features(edition: Edition, contents: Contents, *, prefix: str = "", inline: bool = False) -> Payload:
    """The body of `GET /api/client/features`, named by what is in it rather than by when it was made."""
    query = {"project": [PROJECT], "environment": edition.environment, "inlineSegmentConstraints": inline}
    if prefix:
        query["namePrefix"] = prefix
    query_hash = blake2b(encode(query), digest_size=4).hexdigest()
    etag = f'"{query_hash}:{contents.digest}"'
    parts = [
        b'{"version":2,"features":',
        joined(contents.features.values()),
        b',"query":',
        encode(query),
        b"" if inline else b',"segments":' + joined(contents.segments.values()),
        b',"meta":',
        encode({"revisionId": edition.id, "etag": etag, "queryHash": query_hash}),
        b"}",
    ]
    return Payload(b"".join(parts), etag)


def _beginning(edition: Edition) -> History:
    return History((Step(edition.tag),))


def _events(events: Iterable[bytes]) -> bytes:
    return b'{"events":[' + b",".join(events) + b"]}"
