"""The leader's part: report on each rollback as soon as it is over, and post what was approved."""

from datetime import datetime

from flask import Flask

from control_plane.platform.runtime import jobs
from credits_engine.api.operations import answer_refusals
from credits_engine.remediation import api, approval, preparation
from credits_engine.remediation.approval import ApprovalRefused, UnknownReportError

LOOK_SECONDS = 5.0
REFUSALS = {UnknownReportError: (404, "UNKNOWN_ROLLBACK_REPORT"), ApprovalRefused: (422, "INVALID_REASON")}


def init_app(app: Flask) -> None:
    """Mount the routes and put both on the leader's schedule."""
    app.register_blueprint(api.bp)
    answer_refusals(
        app, {UnknownReportError: (404, "UNKNOWN_ROLLBACK_REPORT"), ApprovalRefused: (422, "INVALID_REASON")}
    )
    jobs.run_on_leader(app, LOOK_SECONDS, "report-rollback", _prepare_due)


def _prepare_due(now: datetime) -> None:
    preparation.prepare(now)
    approval.post_approved(now)
