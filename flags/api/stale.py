"""Flags whose time is over, as JSON."""

from datetime import timedelta

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, ConfigDict, Field

from control_plane.core.lifecycle import CLEANUP_AFTER
from control_plane.platform import clock
from control_plane.platform.auth.authorization import require_role
from control_plane.platform.db.database import read_only
from control_plane.platform.http.openapi import openapi_doc
from flags.administration.stale import DAYS_MAX, UNUSED_AFTER, StaleFlag, stale_flags
from flags.api import schemas

bp = Blueprint("stale_flags", __name__, url_prefix="/api/flags")

PARAMETERS = {
    "completeDays": f"Complete for so many days, up to 3650; by default {CLEANUP_AFTER.days}.",
    "unusedDays": f"Reported by no SDK for so many days, up to {DAYS_MAX}; by default {UNUSED_AFTER.days}.",
}


class StaleQuery(BaseModel):
    """After how many days a flag is stale."""

    model_config = ConfigDict(extra="forbid")

    completeDays: int = Field(default=CLEANUP_AFTER.days, ge=0, le=3650)  # noqa: N815 - the JSON name
    unusedDays: int = Field(default=UNUSED_AFTER.days, ge=1, le=DAYS_MAX)  # noqa: N815 - the JSON name


@bp.get("/stale")
@require_role("viewer")
@openapi_doc(query=PARAMETERS, answers={200: schemas.StaleFlagList})
def index() -> ResponseReturnValue:
    """List flags that are complete for long, that no SDK requests, and that are requested and not known here."""
    wanted = StaleQuery.model_validate(request.args.to_dict())
    complete_for, unused_for = timedelta(days=wanted.completeDays), timedelta(days=wanted.unusedDays)
    with read_only() as session:
        found = stale_flags(session, clock.now(), complete_for=complete_for, unused_for=unused_for)
    return jsonify({"flags": [document(each) for each in found]})


def document(flag: StaleFlag) -> dict[str, object]:
    """Return one stale flag as JSON."""
    since = flag.since.isoformat() if flag.since else None
    return {"flag": flag.flag, "cause": flag.cause.value, "since": since, "sentence": flag.sentence}
