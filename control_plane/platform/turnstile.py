"""Requests enter the application a few at a time: hundreds of threads at once would only be in each other's way.

A request to a busy address waits for little but the interpreter. Each word with the database gives that away, and has
to get it back from all the others, whoever they are: in one line, three at a time, the slowest of a hundred waits half
as long.
"""

import threading
from collections import deque
from collections.abc import Iterable, Set
from queue import SimpleQueue
from typing import TYPE_CHECKING

from flask import Flask

from control_plane.platform.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


# The free places. A semaphore would do, were it not written in Python: this costs a tenth of its time.
Places = SimpleQueue[None]

BUSY = "busy_addresses"
AT_ONCE = 3
"""How many requests to busy addresses, as long as they are as quick as usual."""
PATIENCE_SECONDS = 0.05
"""Who has waited so long goes ahead: what is slow then is not the interpreter, and standing in line makes it worse."""


class Line:
    """So many places, handed on in the order of coming: whoever has waited longest is next, and nobody slips in."""

    def __init__(self, places: int, patience_seconds: float) -> None:
        self._free = places
        self._patience_seconds = patience_seconds
        self._lock = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return len(self._waiting)

    def enter(self) -> bool:
        """Take a place, or go ahead without one when patience ends; whether there is a place to `leave`."""
        with self._lock:
            if self._free:
                self._free -= 1
                return True
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append(turn)
        if turn.acquire(timeout=self._patience_seconds):
            return True
        with self._lock:
            if turn in self._waiting:
                self._waiting.remove(turn)
                return False
        return True  # handed on at the very last moment

    def leave(self) -> None:
        """Hand the place on."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._free += 1


class Turnstile:
    """A WSGI application that lets so many requests at once into the one behind it; the others wait outside.

    Those to `busy` addresses stand in a line besides. What is sent afterwards is outside again, so a stream that
    stays open for hours takes nobody's place.
    """

    def __init__(
        self, behind: "WSGIApplication", places: int, busy: Set[str] = frozenset(), line: Line | None = None
    ) -> None:
        self._behind = behind
        self._places: Places = SimpleQueue()
        for _ in range(places):
            self._places.put(None)
        self._busy = busy
        self._line = line or Line(AT_ONCE, PATIENCE_SECONDS)

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


def busy(app: Flask, *paths: str) -> None:
    """Say which addresses are asked for often and answered from the database alone, at once."""
    app.extensions.setdefault(BUSY, set()).update(paths)


def init_app(app: Flask, settings: Settings) -> None:
    """Put it in front of everything else; call it last."""
    found = frozenset(app.extensions.get(BUSY, ()))
    app.wsgi_app = Turnstile(app.wsgi_app, settings.threads, found)  # type: ignore[method-assign]
