"""Requests enter the application a few at a time: hundreds of threads at once would only be in each other's way.

A request to a busy address waits for little but the interpreter. Each word with the database gives that away, and has
to get it back from all the others, whoever they are: in one line, three at a time, the slowest of a hundred waits half
as long.
"""

from collections.abc import Iterable, Set
from queue import SimpleQueue
from typing import TYPE_CHECKING

from flask import Flask

from control_plane.platform.extensions import AppState
from control_plane.platform.fair_semaphore import MAX_WAIT_SECONDS, FairSemaphore
from control_plane.platform.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


# The free places. A semaphore would do, were it not written in Python: this costs a tenth of its time.
Places = SimpleQueue[None]

LIMITED_PATHS = AppState[set[str]]("limited_paths", set)
CONCURRENT_REQUESTS = 3
"""How many requests to busy addresses, as long as they are as quick as usual."""


class ConcurrencyLimit:
    """A WSGI application that lets so many requests at once into the one behind it; the others wait outside.

    Those to `busy` addresses stand in a line besides. What is sent afterwards is outside again, so a stream that
    stays open for hours takes nobody's place.
    """

    def __init__(
        self, behind: "WSGIApplication", places: int, busy: Set[str] = frozenset(), line: FairSemaphore | None = None
    ) -> None:
        self._behind = behind
        self._places: Places = SimpleQueue()
        for _ in range(places):
            self._places.put(None)
        self._busy = busy
        self._line = line or FairSemaphore(CONCURRENT_REQUESTS, MAX_WAIT_SECONDS)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer when there is a place."""
        if environ.get("PATH_INFO", "") not in self._busy:
            return self._answer(environ, start_response)
        has_place = self._line.enter()
        try:
            return self._answer(environ, start_response)
        finally:
            if has_place:
                self._line.leave()

    def _answer(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        self._places.get()
        try:
            return self._behind(environ, start_response)
        finally:
            self._places.put(None)


def limit_paths(app: Flask, *paths: str) -> None:
    """Say which addresses are asked for often and answered from the database alone, at once."""
    LIMITED_PATHS.get(app).update(paths)


def init_app(app: Flask, settings: Settings) -> None:
    """Put it in front of everything else; call it last."""
    found = frozenset(LIMITED_PATHS.get(app))
    app.wsgi_app = ConcurrencyLimit(app.wsgi_app, settings.threads, found)  # type: ignore[method-assign]
