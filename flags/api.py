"""Our own JSON about flags: explanations, overrides by name, and the directory of users."""

from datetime import UTC, datetime

from flask import Blueprint, Flask, current_app, jsonify, request
from flask.typing import ResponseReturnValue

from control_plane.platform.database import reading
from control_plane.platform.problems import Problem, respond
from control_plane.platform.security import require_role
from control_plane.platform.settings import current
from flags.explanation import explain
from flags.snapshot import UnknownFlagError

bp = Blueprint("flags", __name__, url_prefix="/api/flags")


@bp.get("/<flag>/explain")
@require_role("viewer")
def explain_view(flag: str) -> ResponseReturnValue:
    """Why `userId` has the flag or not."""
    user_id = request.args.get("userId", "")
    if not user_id:
        raise Problem(400, "USER_ID_REQUIRED", "Name the user: add ?userId=… to the address.")
    snapshots = current_app.extensions["flag_snapshots"]
    with reading() as session:
        return jsonify(explain(session, snapshots, current(), flag, user_id, now=datetime.now(UTC)))


def init_app(app: Flask) -> None:
    """Mount the routes."""
    app.register_blueprint(bp)
    app.register_error_handler(UnknownFlagError, _unknown)


def _unknown(error: UnknownFlagError) -> ResponseReturnValue:
    return respond(Problem(404, "FLAG_NOT_FOUND", str(error)))
