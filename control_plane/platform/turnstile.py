"""Requests enter the application a few at a time: hundreds of threads at once would only be in each other's way."""

from collections.abc import Iterable
from queue import SimpleQueue
from typing import TYPE_CHECKING

from flask import Flask

from control_plane.platform.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class Turnstile:
    """A WSGI application that lets so many requests at once into the one behind it; the others wait outside.

    What is sent afterwards is outside again, so a stream that stays open for hours takes nobody's place.
    """

    def __init__(self, behind: "WSGIApplication", places: int) -> None:
        self._behind = behind
        # The free places. A semaphore would do, were it not written in Python: this costs a tenth of its time.
        self._places: SimpleQueue[None] = SimpleQueue()
        for _ in range(places):
            self._places.put(None)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer when there is a place."""
        self._places.get()
        try:
            return self._behind(environ, start_response)
        finally:
            self._places.put(None)


def init_app(app: Flask, settings: Settings) -> None:
    """Put it in front of everything else; call it last."""
    app.wsgi_app = Turnstile(app.wsgi_app, settings.threads)  # type: ignore[method-assign]
