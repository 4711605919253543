"""Who gets what: evaluation with its reasons, and the wire protocols that official SDKs speak."""

from flask import Flask

from flags import api, reporting, snapshot
from flags.administration import overrides
from flags.protocols import client_api, edge_api, fast_lane, frontend, ofrep, streaming, streams
from flags.publication import directory, freshness, guard_age, publisher


def init_app(app: Flask) -> None:
    """Join the application."""
    settings = app.extensions["settings"]
    snapshot.init_app(app, settings)
    publisher.init_app(app, settings)
    freshness.init_app(app)
    guard_age.init_app(app)
    directory.init_app(app, settings)
    reporting.init_app(app)
    overrides.init_app(app)
    streams.init_app(app, settings)
    for routes in (api, client_api, streaming, edge_api, frontend, ofrep, fast_lane):
        routes.init_app(app)
