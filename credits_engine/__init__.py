"""Credits: two engines that answer every request, one journal, and both books posted together."""

from flask import Flask

from control_plane.platform.runtime import concurrency_limit
from credits_engine import sweeping
from credits_engine.administration import adding_up
from credits_engine.aftermath import mounting as aftermath
from credits_engine.api import card, described
from credits_engine.api import operations as api
from credits_engine.billing import described as billing_described
from credits_engine.billing import mounting
from credits_engine.migration import advancing
from credits_engine.operations import serving
from credits_engine.reconciliation import checking, moves, novelties, watching

BUSY = ("/api/credits/consume", "/api/user/credits/status")


def init_app(app: Flask) -> None:
    """Mount the credits on the application."""
    concurrency_limit.limit_paths(app, *BUSY)
    serving.init_app(app)
    api.init_app(app)
    mounting.init_app(app)
    app.register_blueprint(card.bp)
    sweeping.init_app(app)
    watching.init_app(app)
    checking.init_app(app)
    moves.init_app(app)
    novelties.init_app(app)
    advancing.init_app(app)
    adding_up.init_app(app)
    aftermath.init_app(app)
    described.init_app(app)
    billing_described.init_app(app)
