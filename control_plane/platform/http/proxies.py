"""Callers behind proxies: their own address, and whether they spoke TLS, as the proxies we trust say it."""

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from control_plane.platform.settings import Settings


def init_app(app: Flask, settings: Settings) -> None:
    """Believe as many proxies as are trusted, counted from our side; call it last, for it goes in front of all.

    What a caller adds beyond those changes nothing. The host is not taken from a header: proxies pass it on.
    """
    trusted = settings.trusted_proxies
    if trusted:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=trusted, x_proto=trusted)  # type: ignore[method-assign]
