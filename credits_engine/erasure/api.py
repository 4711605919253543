"""Erasures over JSON. The person is named in the body: an address would stay in the logs of every proxy."""

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from control_plane.change_context import ChangeContext
from control_plane.platform import clock
from control_plane.platform.auth.authorization import actor, require_role
from control_plane.platform.db.database import read_only
from credits_engine.erasure import service
from credits_engine.erasure.schemas import EraseRequest
from credits_engine.migration import erasure_manifest
from credits_engine.migration.erasure_manifest import Noted

bp = Blueprint("erasures", __name__, url_prefix="/api/admin/erasures")


@bp.post("")
@require_role("admin")
def erase_view() -> ResponseReturnValue:
    """Make everything of a user that of a pseudonym. Nothing brings the name back."""
    body = EraseRequest.model_validate(request.get_json())
    change = ChangeContext(clock.now(), actor(), body.reason)
    return jsonify(to_json(service.erase(body.userId, change, also=body.also)))


@bp.get("")
@require_role("admin")
def index_view() -> ResponseReturnValue:
    """Return every erasure, oldest first."""
    with read_only() as session:
        found = erasure_manifest.of_database(session)
    return jsonify({"erasures": [noted_json(each) for each in found]})


def to_json(done: service.Erased) -> dict[str, object]:
    """Return what an erasure did as JSON."""
    return {
        "pseudonym": done.pseudonym,
        "rows": done.rows,
        "stillNamed": done.still_named,
        "outside": list(service.OUTSIDE),
    }


def noted_json(each: Noted) -> dict[str, object]:
    """Return an erasure on record as JSON, without the digest."""
    return {
        "pseudonym": each.pseudonym,
        "erasedAt": each.erased_at.isoformat(),
        "actor": each.actor,
        "reason": each.reason,
    }
