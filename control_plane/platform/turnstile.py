"""Requests enter the application a few at a time: hundreds of threads at once would only be in each other's way."""

import threading
from collections.abc import Iterable
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
        self._places = threading.BoundedSemaphore(places)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer when there is a place."""
        with self._places:
            return self._behind(environ, start_response)


def init_app(app: Flask, settings: Settings) -> None:
    """Put it in front of everything else; call it last."""
    app.wsgi_app = Turnstile(app.wsgi_app, settings.threads)  # type: ignore[method-assign]
