"""Earlier versions of a flag without a rollout, as JSON, and one of them made the flag again."""

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from control_plane.change_context import ChangeContext
from control_plane.platform import clock
from control_plane.platform.auth.authorization import actor, require_role, require_role_on
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.http.openapi import openapi_doc
from flags import store
from flags.administration import flag_versions
from flags.administration.flag_versions import FlagVersion
from flags.api import schemas
from flags.api.requests import RestoreRequest, parse_body

bp = Blueprint("flag_versions", __name__, url_prefix="/api/flags/<flag>")


@bp.get("/versions")
@require_role("viewer")
@openapi_doc(answers={200: schemas.FlagVersionList})
def index(flag: str) -> ResponseReturnValue:
    """Return every version of a flag without a rollout that the audit trail knows, the newest first."""
    with read_only() as session:
        found = flag_versions.versions(session, flag)
    return jsonify({"flag": flag, "versions": [document(each) for each in found]})


@bp.post("/restore")
@require_role("owner")
@openapi_doc(body=RestoreRequest, answers={200: schemas.RestoredFlag})
def restore(flag: str) -> ResponseReturnValue:
    """Make an earlier version the flag again, in every environment, as a new change."""
    wanted = parse_body(RestoreRequest)
    with transaction() as session:
        before = set(store.definitions_of(session, flag))
        change = ChangeContext(clock.now(), actor(), wanted.reason)
        after = flag_versions.restore(session, flag, wanted.entry, change)
        # Whoever may not change the flag in each place undoes it all by this refusal.
        require_role_on("owner", flag, before | after.keys())
    return jsonify({"flag": flag, "environments": {name: bool(wire["enabled"]) for name, wire in after.items()}})


def document(version: FlagVersion) -> dict[str, object]:
    """Return a version as JSON; `environments` is None where the trail holds no content."""
    return {
        "entry": version.entry,
        "at": version.at.isoformat(),
        "actor": version.actor,
        "action": version.action,
        "reason": version.reason,
        "environments": version.state,
    }
