"""Pages that stay true: server-sent events with the regions that changed, and the time up to which that is so.

One stream holds one thread of its worker, so their number is capped; whoever comes later is told when to try again.
"""

import json
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from time import monotonic

import structlog
from flask import Flask, Response, request, stream_with_context
from sqlalchemy.exc import SQLAlchemyError

from control_plane.platform.auth import authentication, authorization
from control_plane.platform.clock import DATABASE_CLOCK
from control_plane.platform.extensions import AppState
from control_plane.platform.problems import Problem
from control_plane.platform.runtime import change_feed
from dashboards.filters import clock
from dashboards.fragments import Fragments, etag
from dashboards.language import use_language
from dashboards.single_flight import SingleFlight

TICK_SECONDS = 2.0
"""How often a page hears from us at the latest; well under the ten seconds after which a proxy may give up."""
RETRY_SECONDS = 5
STREAM_SHARE = 0.5
"""The part of a worker's threads that streams may hold; the rest stays free for requests."""

log = structlog.get_logger()

Render = Callable[[datetime], Fragments]
Language = Callable[[], str]
"""Says the language of the reader, who may choose another one meanwhile."""


class LiveStreams:
    """The live streams of this process, their maximum, and what they share."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.open = 0
        self.shared: SingleFlight[tuple[datetime, Fragments]] = SingleFlight(monotonic)
        self._counting = threading.Lock()

    def enter(self) -> Callable[[], None]:
        """Take a place and return the way out, which may be called twice; raises Problem where none is free."""
        with self._counting:
            if self.open >= self.limit:
                detail = (
                    f"This process updates as many pages live as it may ({self.limit}); refresh this one, or try again."
                )
                raise Problem(503, "TOO_MANY_STREAMS", detail, headers={"Retry-After": str(RETRY_SECONDS)})
            self.open += 1
        inside = [True]

        def leave() -> None:
            with self._counting:
                if inside:
                    inside.clear()
                    self.open -= 1

        return leave


LIVE_STREAMS = AppState[LiveStreams]("live_streams")


def stream(render: Render, language: Language) -> Response:
    """A stream of what `render` gives at each change, and at least every TICK_SECONDS."""
    leave = streams().enter()
    response = Response(stream_with_context(_events(render, language)), mimetype="text/event-stream")
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    # Not in the generator: one that was never begun is never ended either.
    response.call_on_close(leave)
    return response


def streams() -> LiveStreams:
    """The streams of this process."""
    return LIVE_STREAMS.get()


def init_app(app: Flask, threads: int) -> None:
    """Cap the streams by the threads a worker has."""
    LIVE_STREAMS.set(app, LiveStreams(max(1, int(threads * STREAM_SHARE))))


def _events(render: Render, language: Language) -> Iterator[str]:
    feed, known = change_feed.feed(), -1
    sent: dict[str, str] = {}
    yield f"retry: {RETRY_SECONDS * 1000}\n\n"
    while not feed.stopped:
        try:
            role = _role()
            if not role:
                break
            yield from _updates(render, role, language(), known, sent)
        except SQLAlchemyError as error:
            # The page keeps what it shows and says that it is no longer sure of it.
            log.warning("live.stale", error=type(error).__name__)
            yield _event("stale", {})
        known = feed.wait(known, TICK_SECONDS)
    yield _event("end", {"because": "stopping" if feed.stopped else "signed-out"})


def _updates(render: Render, role: str, language: str, revision: int, sent: dict[str, str]) -> Iterator[str]:
    def make() -> tuple[datetime, Fragments]:
        now = DATABASE_CLOCK.now()
        with use_language(language):  # the thread that sends a stream is not the one that took the request
            return now, render(now)

    # Those who see the same address in the same role and language see the same: it is rendered once for all of them.
    at, regions = streams().shared.get(
        (request.full_path, role, language), revision, age_seconds=TICK_SECONDS / 2, make=make
    )
    for name, html in regions.items():
        # Only what changed is sent again; the browser keeps the rest, and with it the reader's place and focus.
        content = etag(html)
        if sent.get(name) != content:
            sent[name] = content
            yield _event("region", {"id": name, "mark": content, "html": html})
    yield _event("asof", {"at": at.isoformat(timespec="seconds"), "text": clock(at)})


def _role() -> str:
    """The watcher's role, looked up afresh, or empty: a session that was ended must not go on watching."""
    authentication.reload_principal()
    return str(authorization.role_here() or "")


def _event(name: str, value: dict[str, str]) -> str:
    return f"event: {name}\ndata: {json.dumps(value, ensure_ascii=False)}\n\n"
