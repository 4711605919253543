"""Overrides over JSON: owners grant them, operators end them, for that is the safer side."""

from flask import Blueprint, Flask, jsonify, request
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, ConfigDict, Field

from alerts.definitions import rules_file
from alerts.overrides import approval, store
from alerts.overrides.approval import OverrideRequest
from alerts.overrides.store import Override, PendingOverride
from control_plane import rollouts
from control_plane.platform import clock
from control_plane.platform.auth.authorization import actor, require_role
from control_plane.platform.db.database import read_only, transaction

bp = Blueprint("alert_overrides", __name__, url_prefix="/api/alerts/<flag>")


class Body(BaseModel):
    """For how long and why."""

    model_config = ConfigDict(extra="forbid", strict=True)

    minutes: int = 60
    reason: str = Field(default="", max_length=2000)


@bp.get("/overrides")
@require_role("viewer")
def index(flag: str) -> ResponseReturnValue:
    """List the overrides in force."""
    now = clock.now()
    with read_only() as session:
        found = store.active(session, flag, attempt=rollouts.find(session, flag).attempt, now=now)
    return jsonify(overrides=[_to_json(each) for each in found.values()])


@bp.post("/<alert>/override")
@require_role("owner")
def grant(flag: str, alert: str) -> ResponseReturnValue:
    """Let the alert notify only for at most an hour; 202 where a critical one waits for a second owner."""
    body = _body()
    with transaction() as session:
        granted = approval.grant(
            session,
            rules_file.current().rules,
            OverrideRequest(flag, alert, body.minutes, body.reason),
            now=clock.now(),
            actor=actor(),
        )
    if isinstance(granted, PendingOverride):
        return jsonify(_pending_to_json(granted)), 202
    return jsonify(_to_json(granted)), 201


@bp.delete("/<alert>/override")
@require_role("operator")
def end(flag: str, alert: str) -> ResponseReturnValue:
    """Let the alert act again."""
    with transaction() as session:
        approval.end(session, flag, alert, now=clock.now(), actor=actor(), reason=_body().reason)
    return "", 204


def init_app(app: Flask) -> None:
    """Mount the routes."""
    app.register_blueprint(bp)


def _body() -> Body:
    return Body.model_validate(request.get_json() if request.data else {})


def _to_json(override: Override) -> dict[str, object]:
    return {
        "alert": override.alert,
        "actor": override.actor,
        "reason": override.reason,
        "madeAt": override.made_at.isoformat(),
        "expiresAt": override.expires_at.isoformat(),
    }


def _pending_to_json(pending: PendingOverride) -> dict[str, object]:
    return {
        "alert": pending.alert,
        "askedBy": pending.actor,
        "reason": pending.reason,
        "secondOwnerUntil": pending.until.isoformat(),
    }
