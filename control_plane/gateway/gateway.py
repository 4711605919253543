"""Each request's way: its environ, its body if it has one, the application, the answer."""

import threading
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from io import BytesIO
from typing import Protocol, cast

import structlog
from flask import Flask

from control_plane.gateway import responses
from control_plane.gateway.environ import Environ, MalformedRequestError, Scope, environ_of, has_body
from control_plane.gateway.request_bodies import Bodies, Ending, Receiver
from control_plane.gateway.request_threads import RequestThreads
from control_plane.gateway.shared_streams import Closeable, SharedStream, SharedStreams
from control_plane.gateway.slow_readers import StreamReader
from control_plane.platform.auth import authorization
from control_plane.platform.http import shared_streams
from control_plane.platform.http.immediate_answers import IS_IMMEDIATE
from control_plane.platform.http.shutdown import CLOSE, STOPPING
from control_plane.platform.observability import saturation
from control_plane.platform.problems import Problem
from control_plane.platform.runtime import change_feed

log = structlog.get_logger()

LATE = Problem(408, "REQUEST_TIMEOUT", "The body of the request did not arrive in time; send it again.")
BROKEN = Problem(400, "INCOMPLETE_BODY", "The body of the request ended too early; send it again.")
TOO_MANY_BODIES = Problem(
    503,
    "TOO_MANY_BODIES",
    "Too many requests are sending their bodies slowly; send this one again in a moment.",
    headers={"Retry-After": "1"},
)


class Transport(Receiver, responses.Sender, Protocol):
    """Granian's side of a request, both ways."""


class Watcher(Protocol):
    """Granian's handle on one request."""

    @property
    def scope(self) -> Scope:
        """The request's line and headers."""

    @property
    def proto(self) -> Transport:
        """The connection."""

    def done(self) -> object:
        """End the request without an answer of ours."""


class Gateway:
    """The callable that Granian runs for each request, in one of its threads."""

    def __init__(self, app: Flask, bodies: Bodies, threads: RequestThreads) -> None:
        self._application = app.wsgi_app
        self._bodies = bodies
        self._threads = threads
        self._is_immediate = IS_IMMEDIATE.get(app)
        self._limit: int = app.config["MAX_CONTENT_LENGTH"]
        self._larger = authorization.larger_bodies(app)
        with app.app_context():
            self._in_progress = saturation.REQUESTS.get(app)
        self._feed = change_feed.FEED.get(app)
        self._stopping = STOPPING.get(app)
        self._streams = SharedStreams()

    def __call__(self, watcher: Watcher) -> None:
        """Answer a request, now or when its body has come. Granian can't be told of an exception here."""
        try:
            environ = environ_of(watcher.scope)
            if has_body(environ):
                self._read(watcher, environ)
            else:
                self._answer(watcher, environ, b"")
        except MalformedRequestError as error:
            responses.refuse(watcher.proto, Problem(400, "MALFORMED_REQUEST", str(error)))
        except Exception:
            log.exception("gateway.failed")
            watcher.done()

    def _read(self, watcher: Watcher, environ: Environ) -> None:
        length = environ.get("CONTENT_LENGTH")
        limit = self._limit_at(environ["PATH_INFO"])
        if length is not None and int(length) > limit:
            # Not read at all: the application refuses it by its length, in words of its own.
            self._answer(watcher, environ, b"")
            return

        def done(ending: Ending, content: bytes) -> None:
            self._go_on(watcher, environ, ending, content)

        self._bodies.read(watcher.proto, length=None if length is None else int(length), limit=limit, done=done)

    def _go_on(self, watcher: Watcher, environ: Environ, ending: Ending, content: bytes) -> None:
        match ending:
            case Ending.COMPLETE:
                environ["CONTENT_LENGTH"] = str(len(content))
                self._answer(watcher, environ, content)
            case Ending.TOO_LONG:
                # Whatever length was announced, or none: one byte over the limit lets the application refuse it in its
                # own words.
                environ["CONTENT_LENGTH"] = str(self._limit_at(environ["PATH_INFO"]) + 1)
                self._answer(watcher, environ, b"")
            case Ending.LATE:
                responses.refuse(watcher.proto, LATE)
            case Ending.OVERLOADED:
                responses.refuse(watcher.proto, TOO_MANY_BODIES)
            case Ending.BROKEN:
                responses.refuse(watcher.proto, BROKEN)

    def _answer(self, watcher: Watcher, environ: Environ, body: bytes) -> None:
        answer = partial(self._answer_in_thread, watcher, environ, body)
        if self._is_immediate(environ):
            answer()
        else:
            self._threads.submit(answer)

    def _answer_in_thread(self, watcher: Watcher, environ: Environ, body: bytes) -> None:
        self._in_progress.begin()
        self._feed.use()
        try:
            self._run(watcher, environ, body)
        finally:
            self._in_progress.end()

    def _run(self, watcher: Watcher, environ: Environ, body: bytes) -> None:
        # The body is whole by now, and Werkzeug goes by no length as long as this header says chunked.
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        environ["wsgi.input"] = BytesIO(body)
        environ[shared_streams.WRITER] = self._streams
        start, reader = responses.StartResponse(), StreamReader(environ["REMOTE_ADDR"], environ["REMOTE_PORT"])
        try:
            pieces = self._application(environ, start)
        except Exception:
            log.exception("gateway.failed")
            watcher.done()
            return
        if self._stopping.is_set():
            start.headers = [*start.headers, CLOSE]
        send = partial(self._send, watcher, start, pieces, reader)
        frames = environ.get(shared_streams.FRAMES)
        if frames is not None and start.is_event_stream and environ["REQUEST_METHOD"] == "GET":
            self._share(watcher, start, reader, frames, cast(Closeable, pieces))
        elif start.is_event_stream:
            _run_in_own_thread(send)
        else:
            send()

    def _share(
        self,
        watcher: Watcher,
        start: responses.StartResponse,
        reader: StreamReader,
        frames: Iterator[bytes],
        body: Closeable,
    ) -> None:
        try:
            transport = watcher.proto.response_stream(start.status, start.headers)
            self._streams.add(SharedStream(transport, reader, frames, body))
        except Exception:
            body.close()  # or its place would never be free again
            raise

    def _send(
        self, watcher: Watcher, start: responses.StartResponse, pieces: Iterable[bytes], reader: StreamReader
    ) -> None:
        try:
            responses.answer(watcher.proto, start, pieces, reader)
        except Exception:
            log.exception("gateway.failed")
            watcher.done()

    def _limit_at(self, path: str) -> int:
        return next((limit for start, limit in self._larger.items() if path.startswith(start)), self._limit)


def _run_in_own_thread(send: Callable[[], None]) -> None:
    """Send a stream that may last for hours without one of the server's threads."""
    # Granian's pool may give a request to a thread that it believes idle and that has just taken another one. The
    # request then waits until some thread of the pool is free, or another request comes: not for long, as long as no
    # thread is taken for good.
    try:
        threading.Thread(target=send, name="event-stream", daemon=True).start()
    except RuntimeError:
        send()  # the system gives no more threads
