"""An edition with everything that many callers ask for prepared: whole payloads for SDKs, and what changed since."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from hashlib import blake2b

from flags.publication.answers import Answers
from flags.publication.contents import Contents, encode, inlined, joined
from flags.publication.edition import Edition

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

    @cached_property
    def answers(self) -> Answers:
        """What it answers to callers who don't evaluate by themselves; prepared when the first of them asks."""
        return Answers(self.edition, datetime.now(UTC))


def publish(edition: Edition, before: Published | None = None) -> Published:
    """Prepare `edition`; what is the same as `before` is not prepared again."""
    if before and before.edition.contents is edition.contents:
        return Published(edition, before.features, before.inlined)
    plain = inlined(edition.contents) if edition.contents.segments else edition.contents
    return Published(edition, features(edition, edition.contents), features(edition, plain, inline=True))


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
