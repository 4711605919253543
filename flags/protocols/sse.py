"""Streams that stay open: how many a process holds, why one ends, and what keeps proxies from ending it earlier.

All of a process are sent by one thread of the server (`control_plane/gateway/shared_streams.py`), up to a number.
"""

import math
import threading
from collections.abc import Callable, Iterator
from functools import partial
from time import monotonic

from flask import Flask, Response, request
from sqlalchemy.exc import SQLAlchemyError

from control_plane.platform import clock
from control_plane.platform.auth import tokens
from control_plane.platform.extensions import AppState
from control_plane.platform.http import shared_streams
from control_plane.platform.runtime import change_feed
from control_plane.platform.settings import Settings
from flags.client_features.cache import FeatureCache
from flags.client_features.prepared_payloads import PreparedPayloads
from flags.client_features.refresher import feature_provider

KEEP_ALIVE_SECONDS = 8.0
CROWDED_KEEP_ALIVE_SECONDS = 1.0
"""The same while somebody finds no place: who left is noticed only when something is sent to them."""
WATCH_SECONDS = 0.5
RETRY_SECONDS = 2
COMMENT = b":\n\n"
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class Stream:
    """One open stream: it ends when its token does, or the process."""

    def __init__(self, is_allowed: Callable[[], bool], interval_seconds: Callable[[], float]) -> None:
        self.is_allowed = is_allowed
        self.interval_seconds = interval_seconds
        self.ended = False


class SseConnections:
    """The open streams of one process, and a thread that ends those that must end; it starts with the first stream."""

    def __init__(self, app: Flask, limit: int) -> None:
        self.limit = limit
        self._app = app
        self._open: set[Stream] = set()
        self._changing = threading.Lock()
        self._watching = False
        self._refused_at = -math.inf

    @property
    def has_room(self) -> bool:
        """Return whether one more connection would be accepted."""
        return len(self._open) < self.limit

    def enter(self, is_allowed: Callable[[], bool]) -> Stream | None:
        """Take a place for as long as `is_allowed` holds; None where there is none."""
        with self._changing:
            if not self.has_room:
                self._refused_at = monotonic()
                return None
            # One thread for all streams, only while there are any; it reads `_watching` under the same lock before it
            # ends.
            if not self._watching:
                threading.Thread(target=self._watch, name="flag-streams", daemon=True).start()
                self._watching = True  # not before: where the system gives no thread, the next stream tries again
            stream = Stream(is_allowed, self._interval_seconds)
            self._open.add(stream)
        return stream

    def leave(self, stream: Stream) -> None:
        """Give the place back; doing so twice changes nothing."""
        with self._changing:
            self._open.discard(stream)

    def _interval_seconds(self) -> float:
        is_refusing = monotonic() - self._refused_at < KEEP_ALIVE_SECONDS
        return CROWDED_KEEP_ALIVE_SECONDS if is_refusing else KEEP_ALIVE_SECONDS

    def _watch(self) -> None:
        feed, known = change_feed.FEED.get(self._app), -1
        with self._app.app_context():
            while self._has_work():
                self._end_refused()
                known = feed.wait(known, WATCH_SECONDS)
                if feed.stopped:
                    feature_provider().cache.close()

    def _has_work(self) -> bool:
        with self._changing:
            self._watching = bool(self._open)
            return self._watching

    def _end_refused(self) -> None:
        with self._changing:
            open_now = list(self._open)
        refused = [stream for stream in open_now if not stream.is_allowed()]
        for stream in refused:
            stream.ended = True
        if refused:
            feature_provider().cache.wake()


STREAMS = AppState[SseConnections]("flag_streams")


def streams() -> SseConnections:
    """Return the streams of this process."""
    return STREAMS.get()


def allowed_by(selector: str) -> Callable[[], bool]:
    """Return a check whether the token is still valid; while that is unknown, the last result holds."""

    def is_allowed() -> bool:
        try:
            return tokens.is_in_force(selector, clock.now())
        except SQLAlchemyError:
            return True

    return is_allowed


def respond(stream: Stream, frames: Iterator[bytes]) -> Response:
    """Return the response that sends `frames`; the place is given back when it is over, begun or not."""
    cache, writer = feature_provider().cache, shared_streams.writer(request.environ)
    body = _waiting(cache, frames)
    if writer is not None:
        cache.subscribe(writer.wake)
        shared_streams.hand_over(request.environ, frames)
        body = iter(())
    response = Response(body, mimetype="text/event-stream", headers=HEADERS)
    response.call_on_close(partial(streams().leave, stream))
    return response


def newest(cache: FeatureCache, environment: str, projects: tuple[str, ...]) -> Callable[[], PreparedPayloads | None]:
    """Return a way to look up what a token of this environment and these projects is to know now."""

    def current() -> PreparedPayloads | None:
        found = cache.get(environment)
        return found.of_projects(projects) if found else None

    return current


def follow(
    cache: FeatureCache,
    stream: Stream,
    current: Callable[[], PreparedPayloads | None],
    known: str,
    *,
    frame: Callable[[PreparedPayloads, str], bytes],
    sent: Callable[[str], None] = lambda _feature_set_tag: None,
) -> Iterator[bytes]:
    """Yield what there is to send whenever it is asked for; an empty frame where there is nothing. Ends with `stream`.

    That is a frame for each feature set after the one with the tag `known`, made from it and that tag, and a comment
    after some seconds without one. `sent` is told the tag of the feature set that the caller has, each time something
    reached them.
    """
    sent(known)
    sent_at = monotonic()
    while not (stream.ended or cache.closed):
        found = current()
        if found is not None and found.feature_set.tag != known:
            yield frame(found, known)
            known = found.feature_set.tag
        elif monotonic() - sent_at >= stream.interval_seconds():
            yield COMMENT
        else:
            yield b""
            continue
        sent(known)
        sent_at = monotonic()


def _waiting(cache: FeatureCache, frames: Iterator[bytes]) -> Iterator[bytes]:
    """Yield frames one after the other, with a wait where there is nothing to send."""
    version = cache.version
    for frame in frames:
        if frame:
            yield frame
        else:
            cache.wait(version, KEEP_ALIVE_SECONDS)
        version = cache.version


def event(name: str, feature_set_tag: str, document: bytes) -> bytes:
    """Return a server-sent event whose id is the tag of the feature set it leads to."""
    return b"event: %s\nid: %s\ndata: %s\n\n" % (name.encode(), feature_set_tag.encode(), document)


def init_app(app: Flask, settings: Settings) -> None:
    """Give the application its streams."""
    STREAMS.set(app, SseConnections(app, settings.streams))
