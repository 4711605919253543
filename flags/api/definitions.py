"""Flags without a rollout: made, switched, removed; taken from Unleash and given back."""

from collections.abc import Mapping
from operator import itemgetter

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.platform import clock
from control_plane.platform.auth.authorization import actor, require_role, require_role_on
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.http.openapi import openapi_doc
from control_plane.platform.problems import Problem
from flags import store
from flags.administration.definitions import (
    check_environment,
    create_flag,
    delete_flag,
    export_definitions,
    switch_flag,
)
from flags.administration.imports import ImportOptions, import_definitions, refusals, repairs
from flags.administration.queries import FlagQuery, list_flags
from flags.api import paging, requests, schemas
from flags.api.requests import FlagRequest, ReasonRequest, SwitchRequest, parse_body

bp = Blueprint("definitions", __name__, url_prefix="/api")

IMPORT_BYTES_MAX = 16 * 1024 * 1024


@bp.get("/flags")
@require_role("viewer")
@openapi_doc(
    query={
        "project": "Only flags of this project.",
        "namePrefix": "Only flags whose name begins so.",
        "tag": "Only flags with this tag, such as simple:checkout.",
        "stale": "true: only flags that are marked as stale; false: only others.",
        "q": "Only flags whose name has this in it.",
        **paging.QUERY,
    },
    answers={200: schemas.FlagList},
)
def index() -> ResponseReturnValue:
    """Return the flags by name, a page at a time: those under a rollout, and the others with their environments."""
    wanted = FlagQuery(
        project=request.args.get("project", ""),
        prefix=request.args.get("namePrefix", ""),
        tag=request.args.get("tag", ""),
        text=request.args.get("q", ""),
        stale=_bool_parameter("stale") if "stale" in request.args else None,
    )
    limit, cursor = paging.page_limit(), paging.page_cursor()
    with read_only() as session:
        found = [each for each in list_flags(session) if each["name"] > cursor and wanted.matches(each)]
    found.sort(key=itemgetter("name"))
    more = {"next": found[limit - 1]["name"]} if len(found) > limit else {}
    return jsonify({"flags": found[:limit], **more})


@bp.post("/flags")
@require_role("viewer")
@openapi_doc(body=FlagRequest, answers={201: schemas.FlagSummary})
def create() -> ResponseReturnValue:
    """Make a flag that is on or off for everybody in each environment; that takes an owner of each."""
    wanted = parse_body(FlagRequest)
    require_role_on("owner", wanted.name, wanted.environments)
    with transaction() as session:
        create_flag(
            session,
            wanted.name,
            wanted.environments,
            ChangeContext(clock.now(), actor(), wanted.reason),
            description=wanted.description,
        )
    return jsonify({"name": wanted.name, "rollout": False, "environments": wanted.environments}), 201


@bp.put("/flags/<flag>/environments/<environment>")
@require_role("operator")
@openapi_doc(body=SwitchRequest, answers={200: schemas.FlagState})
def switch(flag: str, environment: str) -> ResponseReturnValue:
    """Switch a flag without a rollout on or off. Switching on asks for an owner."""
    wanted = parse_body(SwitchRequest)
    if wanted.enabled:
        return _switch_on(flag, environment, wanted.reason)
    return _switch(flag, environment, wanted.reason, enabled=False)


@bp.delete("/flags/<flag>")
@require_role("owner")
@openapi_doc(body=ReasonRequest, answers={204: None})
def delete(flag: str) -> ResponseReturnValue:
    """Remove a flag without a rollout from every environment."""
    wanted = parse_body(ReasonRequest)
    with transaction() as session:
        require_role_on("owner", flag, store.definitions_of(session, flag))
        delete_flag(session, flag, ChangeContext(clock.now(), actor(), wanted.reason))
    return "", 204


@bp.post("/environments/<environment>/import")
@require_role("owner")
@openapi_doc(
    body=requests.ImportRequest,
    query={
        "replace": "true replaces everything that is there, with all of the file or not at all.",
        "allOrNothing": "true takes nothing where anything is refused.",
        "confirmMoving": "true takes flags whose repair moves users.",
        "reason": "Why; kept in the audit trail.",
    },
    answers={200: schemas.ImportResult},
)
def import_view(environment: str) -> ResponseReturnValue:
    """Take features and segments as Unleash writes or exports them; those that can't be taken are named."""
    check_environment(environment)
    request.max_content_length = IMPORT_BYTES_MAX
    raw = request.get_json()
    with transaction() as session:
        tags = store.tags(session)
        taken = import_definitions(
            session,
            environment,
            raw,
            ChangeContext(clock.now(), actor(), request.args.get("reason", "")),
            ImportOptions(
                replace=_bool_parameter("replace"),
                all_or_nothing=_bool_parameter("allOrNothing"),
                confirm_moving=_bool_parameter("confirmMoving"),
            ),
        )
        check_tags(session, before=tags)
    return jsonify(
        {
            "features": len(taken.features),
            "segments": len(taken.segments),
            "repairs": repairs(taken.repairs),
            "refused": refusals(taken.refusals),
        }
    )


@bp.get("/environments/<environment>/export")
@require_role("viewer")
@openapi_doc(answers={200: schemas.DefinitionsExport})
def export_view(environment: str) -> ResponseReturnValue:
    """Return every feature and segment without a rollout, as Unleash writes them."""
    with read_only() as session:
        return jsonify(export_definitions(session, environment))


@require_role("owner")
def _switch_on(flag: str, environment: str, reason: str) -> ResponseReturnValue:
    return _switch(flag, environment, reason, enabled=True)


def _switch(flag: str, environment: str, reason: str, *, enabled: bool) -> ResponseReturnValue:
    with transaction() as session:
        switch_flag(session, flag, environment, ChangeContext(clock.now(), actor(), reason), enabled=enabled)
    return jsonify({"name": flag, "environment": environment, "enabled": enabled})


def check_tags(session: Session, before: Mapping[str, tuple[store.Tag, ...]]) -> None:
    """Undo an import by this refusal where it changed the tags of a flag that the caller may not change everywhere."""
    after = store.tags(session)
    for name in before.keys() | after.keys():
        if before.get(name) != after.get(name):
            require_role_on("owner", name, store.definitions_of(session, name))


def _bool_parameter(name: str) -> bool:
    match request.args.get(name, "false"):
        case "true":
            return True
        case "false":
            return False
        case other:
            raise Problem(422, "INVALID_PARAMETER", f"{name} is {other[:40]!r}; write true or false.")
