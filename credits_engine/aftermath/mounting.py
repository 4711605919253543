"""The leader's part: report on each rollback as soon as it is over, and post what was approved."""

from datetime import datetime

from flask import Flask

from control_plane.platform.runtime import jobs
from credits_engine.aftermath import api, approving, preparing

LOOK_SECONDS = 5.0


def init_app(app: Flask) -> None:
    """Mount the routes and put both on the leader's schedule."""
    app.register_blueprint(api.bp)
    jobs.run_on_leader(app, LOOK_SECONDS, "report-rollback", _look)


def _look(now: datetime, _term: int) -> None:
    preparing.prepare(now)
    approving.post_approved(now)
