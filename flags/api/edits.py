"""One flag without a rollout: everything that decides who has it, and changes of that by whoever saw it last."""

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from control_plane.change_context import ChangeContext
from control_plane.platform import clock
from control_plane.platform.auth.authorization import actor, require_role, require_role_on
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.http.openapi import openapi_doc
from flags import store
from flags.administration.definitions import check_environment
from flags.administration.edits import DECIDING, edit_definition, edit_flag, remove_definition
from flags.administration.queries import flag_detail, list_environments
from flags.api import schemas
from flags.api.requests import DefinitionEdit, FlagEdit, RemovalRequest, fields_set, parse_body
from flags.unleash.context_fields import context_fields

bp = Blueprint("flag_edits", __name__, url_prefix="/api")


@bp.get("/flags/<flag>")
@require_role("viewer")
@openapi_doc(answers={200: schemas.FlagDetail})
def show(flag: str) -> ResponseReturnValue:
    """Return one flag, in each environment that has it."""
    with read_only() as session:
        return jsonify(flag_detail(session, flag))


@bp.patch("/flags/<flag>")
@require_role("owner")
@openapi_doc(body=FlagEdit, answers={200: schemas.FlagDetail})
def change(flag: str) -> ResponseReturnValue:
    """Change what a flag has in common everywhere: type, project, description, tags, whether it is stale."""
    wanted = parse_body(FlagEdit)
    fields = {name: value for name, value in fields_set(wanted).items() if value is not None}
    for name in ("versions", "reason", "tags"):
        fields.pop(name, None)
    if "impression_data" in fields:
        fields["impressionData"] = fields.pop("impression_data")
    with transaction() as session:
        require_role_on("owner", flag, store.definitions_of(session, flag))
        edit_flag(session, flag, fields, _change(wanted.reason), versions=wanted.versions, tags=wanted.tags)
        return jsonify(flag_detail(session, flag))


@bp.patch("/flags/<flag>/environments/<environment>")
@require_role("owner")
@openapi_doc(body=DefinitionEdit, answers={200: schemas.EditResult})
def change_in(flag: str, environment: str) -> ResponseReturnValue:
    """Change a flag in one environment, or add it there; of two who saw the same version the second gets a 409."""
    check_environment(environment)
    wanted = parse_body(DefinitionEdit)
    fields = {name: value for name in DECIDING if (value := getattr(wanted, name)) is not None}
    with transaction() as session:
        repairs = edit_definition(
            session,
            flag,
            environment,
            fields,
            _change(wanted.reason),
            version=wanted.version,
            confirm_moving=wanted.confirm_moving,
        )
        return jsonify(flag_detail(session, flag) | {"repairs": repairs})


@bp.delete("/flags/<flag>/environments/<environment>")
@require_role("owner")
@openapi_doc(body=RemovalRequest, answers={204: None})
def remove_from(flag: str, environment: str) -> ResponseReturnValue:
    """Remove a flag from one environment."""
    wanted = parse_body(RemovalRequest)
    with transaction() as session:
        remove_definition(session, flag, environment, _change(wanted.reason), version=wanted.version)
    return "", 204


@bp.get("/environments")
@require_role("viewer")
@openapi_doc(answers={200: schemas.EnvironmentList})
def environments() -> ResponseReturnValue:
    """Return every environment that has flags, segments or tokens, and this server's own."""
    with read_only() as session:
        return jsonify({"environments": list_environments(session)})


@bp.get("/environments/<environment>/context-fields")
@require_role("viewer")
@openapi_doc(answers={200: schemas.ContextFieldList})
def fields_view(environment: str) -> ResponseReturnValue:
    """Return the fields of a context that flags without a rollout go by: what services there have to send."""
    with read_only() as session:
        found = context_fields(store.definitions(session, environment), store.segments(session, environment))
    return jsonify({"contextFields": [each.to_json() for each in found]})


def _change(reason: str) -> ChangeContext:
    return ChangeContext(clock.now(), actor(), reason)
