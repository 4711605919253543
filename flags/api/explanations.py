"""Why users have a flag or not."""

from datetime import UTC, datetime

from flask import Blueprint, current_app, jsonify, request
from flask.typing import ResponseReturnValue

from control_plane.platform.database import reading
from control_plane.platform.openapi import documented
from control_plane.platform.problems import Problem
from control_plane.platform.security import require_role
from control_plane.platform.settings import current
from flags.api.bodies import ExplainBody, body
from flags.explanation import explain

bp = Blueprint("explanations", __name__, url_prefix="/api/flags/<flag>/explain")


@bp.get("")
@require_role("viewer")
@documented(query={"userId": "The user.", "environment": "Default: the environment of this installation."})
def one(flag: str) -> ResponseReturnValue:
    """Why `userId` has the flag or not."""
    user_id = request.args.get("userId", "")
    if not user_id:
        raise Problem(400, "USER_ID_REQUIRED", "Name the user: add ?userId=… to the address.")
    return jsonify(_explained(flag, [user_id])[0])


@bp.post("")
@require_role("viewer")
@documented(body=ExplainBody)
def many(flag: str) -> ResponseReturnValue:
    """Why each of up to a thousand users has the flag or not."""
    return jsonify({"explanations": _explained(flag, body(ExplainBody).user_ids)})


def _explained(flag: str, user_ids: list[str]) -> list[dict[str, object]]:
    snapshots, environment = current_app.extensions["flag_snapshots"], request.args.get("environment")
    now = datetime.now(UTC)
    with reading() as session:
        return [
            explain(session, snapshots, current(), flag, user_id, now=now, environment=environment)
            for user_id in user_ids
        ]
