"""OFREP's event stream: tells providers in browsers when to evaluate again, so that they need not poll."""

from collections.abc import Iterator
from datetime import UTC, datetime

from flask import request
from flask.typing import ResponseReturnValue

from control_plane.platform.auth import accounts
from control_plane.platform.problems import Problem
from flags.protocols import channels, streams
from flags.protocols.streams import Stream, event
from flags.publication.contents import encode
from flags.publication.published import Published
from flags.publication.publisher import publisher
from flags.publication.shelf import Shelf


def events() -> ResponseReturnValue:
    """A stream of what changes in the environment of the channel in the address."""
    channel = channels.opened(request.args.get("channel", ""))
    if channel is None or not accounts.is_in_force(channel.selector, datetime.now(UTC)):
        raise Problem(403, "CHANNEL_CLOSED", "This channel is not open any more; evaluate all flags for a new one.")
    published = publisher().current(channel.environment)
    stream = streams.streams().enter(streams.allowed_by(channel.selector))
    if stream is None:
        raise _too_many()
    return streams.respond(stream, _frames(publisher().shelf, stream, published, channel.edition))


def _frames(shelf: Shelf, stream: Stream, published: Published, evaluated: str) -> Iterator[bytes]:
    """Opens with a hint where something changed since the evaluation that the channel came with."""
    yield b"retry: %d\n\n" % (streams.RETRY_SECONDS * 1000)
    if published.edition.tag != evaluated:
        yield _again(published, evaluated)
    environment, seen = published.edition.environment, published.edition.tag
    del published  # a stream stays open for hours and needs no more of it
    yield from streams.follow(shelf, stream, environment, seen, frame=_again)


def _again(published: Published, _seen: str) -> bytes:
    document = {"type": "refetchEvaluation", "etag": published.edition.contents.digest}
    return event("message", published.edition.tag, encode(document))


def _too_many() -> Problem:
    retry = {"Retry-After": str(streams.RETRY_SECONDS)}
    words = "There are too many streams; evaluate again from time to time instead."
    return Problem(503, "TOO_MANY_STREAMS", words, headers=retry)
