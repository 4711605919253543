"""Why users have a flag or not."""

from collections.abc import Iterable, Mapping

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from control_plane.platform import clock
from control_plane.platform.auth.authorization import require_role
from control_plane.platform.db.database import read_only
from control_plane.platform.http.openapi import openapi_doc
from control_plane.platform.problems import Problem
from control_plane.platform.settings import current
from flags.api import schemas
from flags.api.requests import ExplainRequest, parse_body
from flags.evaluation.contexts import NESTED, from_query
from flags.explanation import explainer
from flags.snapshot import SNAPSHOTS

ENVIRONMENT = {"environment": "Default: the environment of this installation."}

bp = Blueprint("explanations", __name__, url_prefix="/api/flags/<flag>/explain")


@bp.get("")
@require_role("viewer")
@openapi_doc(
    query={"userId": "The user.", "properties[plan]": "An attribute to assume of them.", **ENVIRONMENT},
    answers={200: schemas.Explanation},
)
def one(flag: str) -> ResponseReturnValue:
    """Return why `userId` has the flag or not; `properties[plan]=pro` supposes what our directory does not say."""
    user_id = request.args.get("userId", "")
    if not user_id:
        raise Problem(400, "USER_ID_REQUIRED", "Name the user: add ?userId=… to the address.")
    supposed = from_query({name: text for name, text in request.args.items() if name.startswith(NESTED)})
    return jsonify(_explanation(flag, [(user_id, supposed.properties)])[0])


@bp.post("")
@require_role("viewer")
@openapi_doc(body=ExplainRequest, query=ENVIRONMENT, answers={200: schemas.Explanations})
def many(flag: str) -> ResponseReturnValue:
    """Return why each of up to a thousand users has the flag or not."""
    return jsonify(
        {"explanations": _explanation(flag, [(user_id, {}) for user_id in parse_body(ExplainRequest).user_ids])}
    )


def _explanation(flag: str, users: Iterable[tuple[str, Mapping[str, str]]]) -> list[dict[str, object]]:
    environment = request.args.get("environment") or current().environment
    with read_only() as session:
        explain = explainer(session, SNAPSHOTS.get(), flag, environment=environment, now=clock.now())
        return [explain(user_id, supposed) for user_id, supposed in users]
