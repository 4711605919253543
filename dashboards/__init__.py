"""The product owner's pages, live over server-sent events, and simulations of a rollout."""

from flask import Flask

from dashboards import sse, views
from dashboards.view_models.audit import ChainCheck


def init_app(app: Flask) -> None:
    """Join the application."""
    app.extensions["chain_check"] = ChainCheck()
    views.init_app(app)
    sse.init_app(app, app.extensions["settings"].threads)
