"""Requests enter the application a few at a time: hundreds of threads at once would only be in each other's way.

Where the database is SQLite, a request to a busy address waits for little but the interpreter. Each statement gives
that away and has to get it back from the others: of 500 a second half took 30 ms, and 1 ms with three at once.
"""

from collections.abc import Iterable, Mapping
from queue import SimpleQueue
from types import MappingProxyType
from typing import TYPE_CHECKING

from flask import Flask
from sqlalchemy.engine import make_url

from control_plane.platform.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


# The free places. A semaphore would do, were it not written in Python: this costs a tenth of its time.
Places = SimpleQueue[None]

BUSY = "busy_addresses"
AT_ONCE = 3
"""How many requests to one busy address."""


class Turnstile:
    """A WSGI application that lets so many requests at once into the one behind it; the others wait outside.

    `narrow` says how many of them to one address, if fewer. What is sent afterwards is outside again, so a stream that
    stays open for hours takes nobody's place.
    """

    def __init__(
        self, behind: "WSGIApplication", places: int, narrow: Mapping[str, int] = MappingProxyType({})
    ) -> None:
        self._behind = behind
        self._places = _free(places)
        self._narrow = {path: _free(few) for path, few in narrow.items()}

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer when there is a place."""
        few = self._narrow.get(environ.get("PATH_INFO", ""))
        if few is None:
            return self._answer(environ, start_response)
        few.get()
        try:
            return self._answer(environ, start_response)
        finally:
            few.put(None)

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
    is_sqlite = make_url(settings.database_url).get_backend_name() == "sqlite"
    narrow = dict.fromkeys(app.extensions.get(BUSY, ()), AT_ONCE) if is_sqlite else {}
    app.wsgi_app = Turnstile(app.wsgi_app, settings.threads, narrow)  # type: ignore[method-assign]


def _free(places: int) -> Places:
    free: Places = SimpleQueue()
    for _ in range(places):
        free.put(None)
    return free
