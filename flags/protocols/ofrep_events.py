"""OFREP's event stream: tells providers in browsers when to evaluate again, so that they need not poll."""

from collections.abc import Iterator

from flask import request
from flask.typing import ResponseReturnValue

from control_plane.platform import clock
from control_plane.platform.auth import tokens
from control_plane.platform.problems import Problem
from flags.client_features.cache import FeatureCache
from flags.client_features.prepared_payloads import PreparedPayloads
from flags.client_features.refresher import feature_provider
from flags.protocols import sse, stream_tokens
from flags.protocols.sse import Stream, event
from flags.unleash.feature_payload import encode


def events() -> ResponseReturnValue:
    """Return a stream of what changes in the environment of the channel in the address."""
    channel = stream_tokens.verify(request.args.get("channel", ""))
    if channel is None or not tokens.is_in_force(channel.selector, clock.now()):
        raise Problem(403, "CHANNEL_CLOSED", "This channel is not open any more; evaluate all flags for a new one.")
    payloads = feature_provider().current(channel.environment).of_projects(channel.projects)
    stream = sse.streams().enter(sse.allowed_by(channel.selector))
    if stream is None:
        raise _too_many()
    return sse.respond(stream, _frames(feature_provider().cache, stream, payloads, channel.feature_set_tag))


def _frames(cache: FeatureCache, stream: Stream, payloads: PreparedPayloads, evaluated: str) -> Iterator[bytes]:
    """Opens with a hint where something changed since the evaluation that the channel came with."""
    yield b"retry: %d\n\n" % (sse.RETRY_SECONDS * 1000)
    if payloads.feature_set.tag != evaluated:
        yield _again(payloads, evaluated)
    feature_set = payloads.feature_set
    environment, projects, known_tag = feature_set.environment, feature_set.projects, feature_set.tag
    del payloads, feature_set  # a stream stays open for hours and needs no more of it
    yield from sse.follow(cache, stream, sse.newest(cache, environment, projects), known_tag, frame=_again)


def _again(payloads: PreparedPayloads, _known_tag: str) -> bytes:
    document = {"type": "refetchEvaluation", "etag": payloads.feature_set.contents.digest}
    return event("message", payloads.feature_set.tag, encode(document))


def _too_many() -> Problem:
    retry = {"Retry-After": str(sse.RETRY_SECONDS)}
    detail = "There are too many streams; evaluate again from time to time instead."
    return Problem(503, "TOO_MANY_STREAMS", detail, headers=retry)
