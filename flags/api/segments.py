"""Segments as JSON: listed, changed and removed by whoever saw their latest version."""

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from control_plane.change_context import ChangeContext
from control_plane.platform import clock
from control_plane.platform.auth.authorization import actor, require_role
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.http.openapi import openapi_doc
from flags.administration.segments import edit_segment, list_segments, remove_segment
from flags.api import schemas
from flags.api.requests import RemovalRequest, SegmentEdit, parse_body

bp = Blueprint("segments", __name__, url_prefix="/api/environments/<environment>/segments")


@bp.get("")
@require_role("viewer")
@openapi_doc(answers={200: schemas.SegmentList})
def segments(environment: str) -> ResponseReturnValue:
    """Return the segments of an environment, and which flags refer to each."""
    with read_only() as session:
        return jsonify({"segments": list_segments(session, environment)})


@bp.put("/<int:number>")
@require_role("owner")
@openapi_doc(body=SegmentEdit, answers={200: schemas.Segment})
def put_segment(environment: str, number: int) -> ResponseReturnValue:
    """Change a segment, or add one, which changes who has every flag that refers to it."""
    wanted = parse_body(SegmentEdit)
    fields = {"name": wanted.name, "constraints": wanted.constraints}
    with transaction() as session:
        edit_segment(session, environment, number, fields, _change(wanted.reason), version=wanted.version)
        return jsonify(next(each for each in list_segments(session, environment) if each["id"] == number))


@bp.delete("/<int:number>")
@require_role("owner")
@openapi_doc(body=RemovalRequest, answers={204: None})
def delete_segment(environment: str, number: int) -> ResponseReturnValue:
    """Remove a segment that no flag refers to and no plan names."""
    wanted = parse_body(RemovalRequest)
    with transaction() as session:
        remove_segment(session, environment, number, _change(wanted.reason), version=wanted.version)
    return "", 204


def _change(reason: str) -> ChangeContext:
    return ChangeContext(clock.now(), actor(), reason)
