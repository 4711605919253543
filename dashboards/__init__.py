"""The product owner's pages, live over server-sent events, and simulations of a rollout."""

from flask import Flask

from control_plane.platform.settings import SETTINGS
from dashboards import sse, views
from dashboards.view_models.audit import CHAIN_CHECK, ChainCheck


def init_app(app: Flask) -> None:
    """Join the application."""
    CHAIN_CHECK.set(app, ChainCheck())
    views.init_app(app)
    sse.init_app(app, SETTINGS.get(app))
