"""The rollout over JSON: read by viewers, made safer by operators, exposed further by owners."""

from collections.abc import Callable
from datetime import UTC, datetime

from flask import Blueprint, Flask, jsonify, request
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, ConfigDict, Field

from control_plane import rollouts, store
from control_plane.change_context import ChangeContext
from control_plane.environment_variable import variable_notice
from control_plane.gates import GateResult
from control_plane.phases import Rollout
from control_plane.platform.auth import audit
from control_plane.platform.auth.authorization import actor, require_role
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.http.openapi import openapi_doc
from control_plane.platform.problems import Problem, respond
from control_plane.platform.settings import current
from control_plane.transitions import Decision, Refusal

bp = Blueprint("rollouts", __name__, url_prefix="/api/rollouts")


class Request(BaseModel):
    """The body of every change: why, and which version the caller saw."""

    model_config = ConfigDict(extra="forbid", strict=True)

    reason: str = Field(default="", max_length=2000)
    expectedVersion: int = Field(default=0, ge=0)  # noqa: N815 - the JSON name


class AdvanceRequest(Request):
    """The body of an advance."""

    confirmLosing: bool = False  # noqa: N815 - the JSON name


@bp.get("")
@require_role("viewer")
def index() -> ResponseReturnValue:
    """Every rollout, by flag."""
    with read_only() as session:
        return jsonify({"rollouts": [rollouts.summary(rollout) for rollout in store.load_all(session)]})


@bp.get("/<flag>")
@require_role("viewer")
def show(flag: str) -> ResponseReturnValue:
    """One rollout with its plan and what each gate says now."""
    with read_only() as session:
        rollout = rollouts.find(session, flag)
        return jsonify(document(rollout, rollouts.gates(session, rollout, datetime.now(UTC))))


@bp.get("/<flag>/audit")
@require_role("viewer")
def history(flag: str) -> ResponseReturnValue:
    """The latest changes of one rollout, newest first."""
    with read_only() as session:
        entries = audit.latest(session, subject=f"rollout:{flag}")
        return jsonify({"entries": [audit.to_json(entry) for entry in entries]})


@bp.post("/<flag>/advance")
@require_role("owner")
@openapi_doc(body=AdvanceRequest, body_is_optional=True)
def advance(flag: str) -> ResponseReturnValue:
    """One step up. `reason` approves gates that are unknown, `confirmLosing` that users lose the flag by it."""
    body = AdvanceRequest.model_validate(request.get_json() if request.data else {})
    return _change(
        rollouts.advance,
        flag,
        expected_version=body.expectedVersion,
        approval=body.reason,
        confirm_losing=body.confirmLosing,
    )


@bp.post("/<flag>/step-back")
@require_role("operator")
@openapi_doc(body=Request, body_is_optional=True)
def step_back(flag: str) -> ResponseReturnValue:
    """One step down."""
    body = _body()
    return _change(rollouts.step_back, flag, body.reason, expected_version=body.expectedVersion)


@bp.post("/<flag>/hold")
@require_role("operator")
@openapi_doc(body=Request, body_is_optional=True)
def hold(flag: str) -> ResponseReturnValue:
    """Keep the exposure and refuse to advance."""
    return _change(rollouts.hold, flag, _body().reason)


@bp.post("/<flag>/resume")
@require_role("operator")
@openapi_doc(body=Request, body_is_optional=True)
def resume(flag: str) -> ResponseReturnValue:
    """End a hold."""
    return _change(rollouts.resume, flag, _body().reason)


@bp.post("/<flag>/rollback")
@require_role("operator")
@openapi_doc(body=Request, body_is_optional=True)
def roll_back(flag: str) -> ResponseReturnValue:
    """Legacy for everybody at once. Repeating it changes nothing and answers 200 again."""
    reason = _body().reason
    with transaction() as session:
        decision = rollouts.roll_back(session, flag, ChangeContext(datetime.now(UTC), actor(), reason))
        found = rollouts.find(session, flag)
        if not found.latched and isinstance(decision, Refusal):
            raise refused(decision)
        return jsonify(rollouts.summary(found))


@bp.post("/<flag>/rearm")
@require_role("owner")
@openapi_doc(body=Request, body_is_optional=True)
def rearm(flag: str) -> ResponseReturnValue:
    """A new attempt at the lowest step."""
    body = _body()
    return _change(rollouts.rearm, flag, body.reason, expected_version=body.expectedVersion)


def document(rollout: Rollout, gates: list[GateResult]) -> dict[str, object]:
    """A rollout as JSON, with plan and gates."""
    return {
        **rollouts.summary(rollout),
        "position": {"phase": rollout.position.phase, "step": rollout.position.step},
        "plan": store.plan_to_json(rollout.plan),
        "environment_variable": variable_notice(rollout.flag, current()),
        "gates": [
            {"name": gate.name, "status": gate.status, "reason": gate.reason, "evidence": dict(gate.evidence)}
            for gate in gates
        ],
    }


def refused(refusal: Refusal) -> Problem:
    """The problem that a refusal becomes: 422 where the request lacks something, 409 where the rollout does."""
    code = refusal.reasons[0].code
    reasons = [{"code": reason.code, "sentence": reason.sentence} for reason in refusal.reasons]
    return Problem(422 if code == "REASON_REQUIRED" else 409, code, refusal.sentence, reasons=reasons)


def init_app(app: Flask) -> None:
    """Mount the routes."""
    app.register_blueprint(bp)
    app.register_error_handler(rollouts.UnknownRolloutError, _unknown)


def _change(use_case: Callable[..., Decision], flag: str, reason: str = "", **options: object) -> ResponseReturnValue:
    with transaction() as session:
        decision = use_case(session, flag, ChangeContext(datetime.now(UTC), actor(), reason), **options)
        if isinstance(decision, Refusal):
            raise refused(decision)
        return jsonify(rollouts.summary(decision.after))


def _body() -> Request:
    return Request.model_validate(request.get_json() if request.data else {})


def _unknown(error: rollouts.UnknownRolloutError) -> ResponseReturnValue:
    return respond(Problem(404, "ROLLOUT_NOT_FOUND", str(error)))
