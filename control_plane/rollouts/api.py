"""The rollout over JSON: read by viewers, made safer by operators, exposed further by owners."""

from collections.abc import Callable

from flask import Blueprint, Flask, jsonify, request
from flask.typing import ResponseReturnValue

from control_plane.change_context import ChangeContext
from control_plane.core.approval_gate import Approval, ApprovalSubject
from control_plane.core.transitions import Decision, Refusal
from control_plane.platform import clock
from control_plane.platform.auth import audit
from control_plane.platform.auth.authorization import actor, require_role, require_role_on, role_here
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.http.openapi import openapi_doc
from control_plane.platform.identity_types import PRODUCTION
from control_plane.platform.problems import Problem, respond
from control_plane.platform.settings import current
from control_plane.rollout_names import environment_of, flag_of
from control_plane.rollouts import approvals, archive, listing, move_job, service, store
from control_plane.rollouts.answers import detail, gate_documents, listed, move_document, refused
from control_plane.rollouts.environment_variable import variable_notice
from control_plane.rollouts.phase_dates import phase_dates
from control_plane.rollouts.requests import (
    AdvanceRequest,
    ApproveRequest,
    ArchiveRequest,
    DeleteRequest,
    Request,
    RollbackRequest,
    WithdrawApprovalRequest,
)
from control_plane.rollouts.segments import segment_notices

ENTRIES_MAX = 500
FORM = "application/x-www-form-urlencoded"

bp = Blueprint("rollouts", __name__, url_prefix="/api/rollouts")


@bp.get("")
@require_role("viewer")
@openapi_doc(query=listing.PARAMETERS)
def index() -> ResponseReturnValue:
    """List rollouts by flag, those that are archived only where asked for."""
    wanted = listing.RolloutQuery.model_validate(request.args.to_dict())
    now = clock.now()
    with read_only() as session:
        page, cursor = listing.page(store.load_all(session), wanted, now)
    return jsonify({"rollouts": [listed(rollout, now) for rollout in page], "next": cursor})


@bp.get("/<flag>")
@require_role("viewer")
def show(flag: str) -> ResponseReturnValue:
    """Return one rollout with its plan and what each gate says now."""
    with read_only() as session:
        rollout = service.find(session, flag)
        now = clock.now()
        gates = service.gates(session, rollout, now)
        move = move_job.planned_move(session, rollout, now, clocks_apart=move_job.clocks_apart(session))
        changed = [each.sentence for each in segment_notices(session, rollout.plan)]
        phases = phase_dates(rollout, audit.latest(session, subject=f"rollout:{flag}", limit=ENTRIES_MAX), now)
    answer = {
        "environment_variable": variable_notice(flag, current()),
        "segment_notices": changed,
        "gates": gate_documents(gates),
        "next_move": move_document(move),
        "phases": phases,
    }
    return jsonify({**detail(rollout, now), **answer})


@bp.get("/<flag>/audit")
@require_role("viewer")
def history(flag: str) -> ResponseReturnValue:
    """Return the latest changes of one rollout, newest first."""
    with read_only() as session:
        entries = audit.latest(session, subject=f"rollout:{flag}")
        return jsonify({"entries": [audit.to_json(entry) for entry in entries]})


@bp.post("/<flag>/advance")
@require_role("owner")
@openapi_doc(body=AdvanceRequest, body_is_optional=True)
def advance(flag: str) -> ResponseReturnValue:
    """Go one step up. `reason` approves gates that are unknown, `confirmLosing` that users lose the flag by it."""
    body = AdvanceRequest.model_validate(request.get_json() if request.data else {})
    return _change(
        service.advance,
        flag,
        expected_version=body.expectedVersion,
        approval=body.reason,
        confirm_losing=body.confirmLosing,
    )


@bp.post("/<flag>/step-back")
@require_role("operator")
@openapi_doc(body=Request, body_is_optional=True)
def step_back(flag: str) -> ResponseReturnValue:
    """Go one step down."""
    body = _body()
    return _change(service.step_back, flag, body.reason, expected_version=body.expectedVersion)


@bp.post("/<flag>/hold")
@require_role("operator")
@openapi_doc(body=Request, body_is_optional=True)
def hold(flag: str) -> ResponseReturnValue:
    """Keep the exposure and refuse to advance."""
    return _change(service.hold, flag, _body().reason)


@bp.post("/<flag>/resume")
@require_role("operator")
@openapi_doc(body=Request, body_is_optional=True)
def resume(flag: str) -> ResponseReturnValue:
    """End a hold."""
    return _change(service.resume, flag, _body().reason)


@bp.post("/<flag>/rollback")
@require_role("operator")
@openapi_doc(body=RollbackRequest, body_is_optional=True)
def roll_back(flag: str) -> ResponseReturnValue:
    """Give everybody legacy at once; with `everywhere` in development and staging too. Repeating it changes nothing.

    FLAG@ENVIRONMENT is rolled back alone, and with `everywhere` the whole flag.
    """
    body = RollbackRequest.model_validate(_rollback_fields())
    if body.everywhere and environment_of(flag):
        require_role_on("operator", flag_of(flag), [PRODUCTION])
    with transaction() as session:
        change = ChangeContext(clock.now(), actor(), body.reason)
        decision = service.roll_back(session, flag, change, in_all=body.everywhere)
        found = service.find(session, flag)
        if isinstance(decision, Refusal) and not service.is_rolled_back(found, in_all=body.everywhere):
            raise refused(decision)
        return jsonify(service.summary(found))


@bp.post("/<flag>/rearm")
@require_role("owner")
@openapi_doc(body=Request, body_is_optional=True)
def rearm(flag: str) -> ResponseReturnValue:
    """Begin a new attempt at the lowest step."""
    body = _body()
    return _change(service.rearm, flag, body.reason, expected_version=body.expectedVersion)


@bp.get("/<flag>/approvals")
@require_role("viewer")
def approvals_view(flag: str) -> ResponseReturnValue:
    """Return those who approve the next step, or a change of the plan, as the rollout stands."""
    with read_only() as session:
        found = service.find(session, flag)
        given = [_approval(each, of) for of in ApprovalSubject for each in approvals.given(session, found, of)]
        return jsonify({"approvals": given})


@bp.post("/<flag>/approve")
@require_role("operator")
@openapi_doc(body=ApproveRequest)
def approve(flag: str) -> ResponseReturnValue:
    """Record an approval of the next step, or of a change of the plan, by somebody who did not make the plan."""
    body = ApproveRequest.model_validate(request.get_json() if request.data else {})
    role = approvals.role_in_plan(role_here())
    with transaction() as session:
        change = ChangeContext(clock.now(), actor(), body.reason)
        found = service.find(session, flag)
        given = approvals.approve(
            session, found, change, role=role, expected_version=body.expectedVersion, subject=body.of
        )
        return jsonify({"approvals": [_approval(each, body.of) for each in given]})


@bp.delete("/<flag>/approve")
@require_role("operator")
@openapi_doc(body=WithdrawApprovalRequest)
def withdraw_approval(flag: str) -> ResponseReturnValue:
    """Take the caller's own approval back, of the next step or of a change of the plan."""
    body = WithdrawApprovalRequest.model_validate(request.get_json() if request.data else {})
    with transaction() as session:
        change = ChangeContext(clock.now(), actor(), body.reason)
        given = approvals.withdraw(session, service.find(session, flag), change, body.of)
        return jsonify({"approvals": [_approval(each, body.of) for each in given]})


@bp.post("/<flag>/archive")
@require_role("owner")
@openapi_doc(body=ArchiveRequest)
def archive_view(flag: str) -> ResponseReturnValue:
    """Take the flag from everybody and out of every SDK; the rollout is complete or rolled back before."""
    body = ArchiveRequest.model_validate(request.get_json())
    _require_owner_of_all(flag)
    return _change(
        archive.archive,
        flag,
        body.reason,
        expected_version=body.expectedVersion,
        confirm_losing=body.confirmLosing,
    )


@bp.post("/<flag>/revive")
@require_role("owner")
@openapi_doc(body=Request)
def revive(flag: str) -> ResponseReturnValue:
    """Give the flag back to SDKs, off until it is armed again."""
    body = _body()
    return _change(archive.revive, flag, body.reason, expected_version=body.expectedVersion)


@bp.delete("/<flag>")
@require_role("owner")
@openapi_doc(body=DeleteRequest)
def delete(flag: str) -> ResponseReturnValue:
    """Remove an archived flag with its plans, or give FLAG@ENVIRONMENT back to the flag's own rollout."""
    if environment_of(flag):  # which decides in one more environment then
        require_role_on("owner", flag_of(flag), [PRODUCTION])
    body = DeleteRequest.model_validate(request.get_json() if request.data else {})
    _require_owner_of_all(flag)
    return _change(
        archive.delete,
        flag,
        body.reason,
        expected_version=body.expectedVersion,
        confirm_losing=body.confirmLosing,
        confirm_gaining=body.confirmGaining,
    )


def _require_owner_of_all(flag: str) -> None:
    with read_only() as session:
        places = archive.places_ended(session, flag)
    require_role_on("owner", flag, places)


def init_app(app: Flask) -> None:
    """Mount the routes."""
    app.register_blueprint(bp)
    app.register_error_handler(service.UnknownRolloutError, _unknown)


def _change(use_case: Callable[..., Decision], flag: str, reason: str = "", **options: object) -> ResponseReturnValue:
    with transaction() as session:
        decision = use_case(session, flag, ChangeContext(clock.now(), actor(), reason), **options)
        if isinstance(decision, Refusal):
            raise refused(decision)
        return jsonify(service.summary(decision.after))


def _approval(each: Approval, of: ApprovalSubject) -> dict[str, object]:
    at = each.at.isoformat()
    return {"of": of.value, "actor": each.actor, "role": each.role, "reason": each.reason, "at": at}


def _body() -> Request:
    return Request.model_validate(request.get_json() if request.data else {})


def _rollback_fields() -> object:
    """Return the fields of a rollback, in JSON of any stated type or as a form: `curl -d` sends either as a form."""
    if request.mimetype != FORM:
        return request.get_json(force=True) if request.get_data() else {}
    fields = request.get_json(force=True, silent=True)
    return fields if isinstance(fields, dict) else request.form.to_dict()


def _unknown(error: service.UnknownRolloutError) -> ResponseReturnValue:
    return respond(Problem(404, "ROLLOUT_NOT_FOUND", str(error)))
