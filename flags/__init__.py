"""Who gets what: evaluation with its reasons, and the wire protocols that official SDKs speak."""

from flask import Flask

from flags import api, snapshot


def init_app(app: Flask) -> None:
    """Join the application."""
    snapshot.init_app(app, app.extensions["settings"])
    api.init_app(app)
