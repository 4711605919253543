"""Plans over JSON and YAML: made, edited, previewed, kept in versions; read by viewers, changed by owners."""

from flask import Blueprint, Flask, Response, jsonify, request
from flask.typing import ResponseReturnValue

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.transitions import Decision, Refusal
from control_plane.plans import administration, document
from control_plane.plans.previews import preview
from control_plane.plans.requests import (
    ChangeRequest,
    CreateRequest,
    EditRequest,
    PreviewRequest,
    read_plan,
    template_documents,
)
from control_plane.platform import clock
from control_plane.platform.auth.authorization import actor, require_role
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.http.openapi import openapi_doc
from control_plane.platform.problems import Problem
from control_plane.rollout_names import rollout_name
from control_plane.rollouts import store
from control_plane.rollouts.answers import detail, refused
from control_plane.rollouts.store import PlanVersion

bp = Blueprint("plans", __name__, url_prefix="/api")
YAML = "application/yaml"


@bp.post("/rollouts")
@require_role("owner")
@openapi_doc(body=CreateRequest)
def create() -> ResponseReturnValue:
    """Create a flag with its rollout, from a plan or a template; it begins at the lowest step."""
    now, body = clock.now(), CreateRequest.model_validate(request.get_json())
    with transaction() as session:
        name, plan = body.chosen(session, rollout_name(body.flag, body.environment), now)
        change = ChangeContext(now, actor(), body.reason or "Planned.")
        decision = rollouts.plan(session, name, plan, change, confirm_losing=body.confirmLosing)
        return _answer(decision), 201


@bp.get("/rollouts/<flag>/plan")
@require_role("viewer")
@openapi_doc(query={"format": "yaml for the file that `rollout plan apply` takes."})
def show(flag: str) -> ResponseReturnValue:
    """Return the plan of a rollout, as JSON or as a file."""
    with read_only() as session:
        found = rollouts.find(session, flag)
    wanted = request.args.get("format", "json")
    if wanted not in ("json", "yaml"):
        raise Problem(422, "INVALID_PARAMETER", f"format is {wanted[:40]!r}; write json or yaml.")
    if wanted == "yaml":
        return Response(document.to_yaml(found.plan, flag), content_type=f"{YAML}; charset=utf-8")
    return jsonify(
        {
            "flag": flag,
            "version": found.version,
            "plan_version": found.plan_version,
            "plan": document.to_value(found.plan),
        }
    )


@bp.put("/rollouts/<flag>/plan")
@require_role("owner")
@openapi_doc(body=EditRequest)
def edit(flag: str) -> ResponseReturnValue:
    """Put another plan in the place of the plan; nobody is exposed by that, and losses have to be confirmed."""
    body = EditRequest.model_validate(request.get_json())
    with transaction() as session:
        _, plan = read_plan(session, flag, body.plan)
        decision = administration.edit(
            session,
            flag,
            plan,
            ChangeContext(clock.now(), actor(), body.reason),
            expected_version=body.expectedVersion,
            confirm_losing=body.confirmLosing,
        )
        return _answer(decision)


@bp.post("/rollouts/<flag>/plan/preview")
@require_role("operator")
@openapi_doc(body=PreviewRequest)
def preview_view(flag: str) -> ResponseReturnValue:
    """Preview a plan: who would gain, who would lose, and why it would be refused; nothing is changed."""
    now = clock.now()
    body = PreviewRequest.model_validate(request.get_json())
    with read_only() as session:
        flag, plan = body.chosen(session, flag, now)
        before = store.load(session, flag)
        change = ChangeContext(now, actor(), "A preview.")
        reasons = administration.refusals(session, flag, plan, change)
        found = preview(session, flag, before, plan, now)
    return jsonify(administration.preview_document(flag, before, plan, found, reasons))


@bp.get("/rollouts/<flag>/plan/versions")
@require_role("viewer")
def versions(flag: str) -> ResponseReturnValue:
    """Return every plan that the rollout has had, the newest first."""
    with read_only() as session:
        rollouts.find(session, flag)
        return jsonify({"versions": [_version(each) for each in store.plan_versions(session, flag)]})


@bp.get("/rollouts/<flag>/plan/versions/<int:number>")
@require_role("viewer")
def version(flag: str, number: int) -> ResponseReturnValue:
    """Return one plan that the rollout has had."""
    with read_only() as session:
        found = administration.version(session, flag, number)
    return jsonify({**_version(found), "plan": document.to_value(found.plan)})


@bp.post("/rollouts/<flag>/plan/versions/<int:number>/restore")
@require_role("owner")
@openapi_doc(body=ChangeRequest)
def restore(flag: str, number: int) -> ResponseReturnValue:
    """Make an earlier plan the plan again, as a new version."""
    body = ChangeRequest.model_validate(request.get_json())
    with transaction() as session:
        decision = administration.restore(
            session,
            flag,
            number,
            ChangeContext(clock.now(), actor(), body.reason),
            expected_version=body.expectedVersion,
            confirm_losing=body.confirmLosing,
        )
        return _answer(decision)


@bp.get("/plan-templates")
@require_role("viewer")
def templates() -> ResponseReturnValue:
    """Return the plans to begin with."""
    return jsonify({"templates": template_documents(clock.now())})


@bp.get("/plan-schema")
@require_role("viewer")
def schema() -> ResponseReturnValue:
    """Return the JSON Schema of a plan."""
    return jsonify(document.schema())


def init_app(app: Flask) -> None:
    """Mount the routes."""
    app.register_blueprint(bp)


def _answer(decision: Decision) -> Response:
    if isinstance(decision, Refusal):
        raise refused(decision)
    return jsonify(detail(decision.after, clock.now()))


def _version(found: PlanVersion) -> dict[str, object]:
    return {"number": found.number, "at": found.at.isoformat(), "actor": found.actor, "reason": found.reason}
