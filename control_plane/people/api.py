"""People over JSON, for admins and for the program that provisions accounts: added, changed, locked, let in again."""

import secrets
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from flask import Blueprint, Flask, jsonify, request
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from control_plane.people.schemas import CreatedPerson, People, PersonWithTokens
from control_plane.platform import clock
from control_plane.platform.auth import accounts, grants, second_factor
from control_plane.platform.auth.authorization import actor, require_role
from control_plane.platform.auth.token_makers import tokens_made_by
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.http.openapi import openapi_doc
from control_plane.platform.identity_types import EVERY, Grant
from control_plane.platform.problems import Problem

bp = Blueprint("people", __name__, url_prefix="/api/people")

Text = Annotated[str, Field(max_length=200)]
M = TypeVar("M", bound=BaseModel)


class RequestModel(BaseModel):
    """A body; fields that are not ours are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class GrantModel(RequestModel):
    """A role for one flag in one environment, `*` for every one."""

    role: Text
    flag: Text = EVERY
    environment: Text = EVERY


class NewPerson(RequestModel):
    """Somebody new. Without a password they sign in by the identity provider alone, or once an admin made them one."""

    username: Text
    role: Text = "viewer"
    grants: Annotated[list[GrantModel], Field(max_length=100)] = []
    password: bool = True


class PersonChange(RequestModel):
    """A change; a field that is left out stays as it was. `active: false` locks somebody out."""

    role: Text | None = None
    grants: Annotated[list[GrantModel], Field(max_length=100)] | None = None
    active: bool | None = None
    reason: Annotated[str, Field(max_length=2000)] = ""


class ReasonBody(RequestModel):
    """Why something is done."""

    reason: Annotated[str, Field(max_length=2000)] = ""


@bp.get("")
@require_role("admin")
@openapi_doc(answers={200: People})
def index() -> ResponseReturnValue:
    """Return everybody who may sign in, by username."""
    with read_only() as session:
        return jsonify({"people": [grants.person_document(person) for person in accounts.list_people(session)]})


@bp.get("/<int:person_id>")
@require_role("admin")
@openapi_doc(answers={200: PersonWithTokens})
def show(person_id: int) -> ResponseReturnValue:
    """Return one person, and the tokens in force that they made."""
    with read_only() as session:
        return jsonify(_document(session, person_id))


@bp.post("")
@require_role("admin")
@openapi_doc(body=NewPerson, answers={201: CreatedPerson})
def create() -> ResponseReturnValue:
    """Let somebody sign in; the answer alone ever holds the password that was made."""
    wanted, now = _body(NewPerson), clock.now()
    password = secrets.token_urlsafe(accounts.PASSWORD_BYTES) if wanted.password else None
    with transaction() as session:
        made = accounts.create_person(
            session, wanted.username, password=password, role=wanted.role, now=now, actor=actor()
        )
        if wanted.grants:
            accounts.change_grants(session, made.id, grants=_grants(wanted.grants), now=now, actor=actor())
        document = grants.person_document(accounts.find_person(session, made.id))
    return jsonify({**document, "password": password}), 201


@bp.patch("/<int:person_id>")
@require_role("admin")
@openapi_doc(body=PersonChange, answers={200: PersonWithTokens})
def change(person_id: int) -> ResponseReturnValue:
    """Change what somebody may, or lock them out and let them in again; whoever is changed signs in again."""
    wanted = _body(PersonChange)
    common: dict[str, Any] = {"now": clock.now(), "actor": actor()}
    with transaction() as session:
        person = accounts.find_person(session, person_id)
        if wanted.role is not None and wanted.role != person.role:
            accounts.change_role(session, person_id, role=wanted.role, **common)
        common["reason"] = wanted.reason
        if wanted.grants is not None:
            accounts.change_grants(session, person_id, grants=_grants(wanted.grants), **common)
        if wanted.active is not None and wanted.active is not (person.disabled_at is None):
            change_access = accounts.enable_person if wanted.active else accounts.disable_person
            change_access(session, person_id, **common)
        return jsonify(_document(session, person_id))


@bp.delete("/<int:person_id>")
@require_role("admin")
@openapi_doc(body=ReasonBody, body_is_optional=True, answers={204: None})
def lock(person_id: int) -> ResponseReturnValue:
    """Lock somebody out and revoke the admin tokens they made. The account stays; repeating it changes nothing."""
    wanted = _body(ReasonBody) if request.data else ReasonBody()
    with transaction() as session:
        if accounts.find_person(session, person_id).disabled_at is None:
            now = clock.now()
            accounts.disable_person(session, person_id, now=now, actor=actor(), reason=wanted.reason)
    return "", 204


@bp.delete("/<int:person_id>/second-factor")
@require_role("admin")
@openapi_doc(body=ReasonBody, body_is_optional=True, answers={204: None})
def reset_second_factor(person_id: int) -> ResponseReturnValue:
    """Let the password alone sign somebody in who has lost their device."""
    wanted = _body(ReasonBody) if request.data else ReasonBody()
    with transaction() as session:
        person = accounts.find_person(session, person_id)
        second_factor.reset(session, person, now=clock.now(), actor=actor(), reason=wanted.reason)
    return "", 204


@bp.post("/<int:person_id>/sign-out")
@require_role("admin")
@openapi_doc(body=ReasonBody, body_is_optional=True, answers={204: None})
def sign_out(person_id: int) -> ResponseReturnValue:
    """End every session of somebody."""
    return _done(accounts.end_sessions, person_id)


@bp.post("/<int:person_id>/password")
@require_role("admin")
@openapi_doc(body=ReasonBody, body_is_optional=True, answers={200: CreatedPerson})
def renew_password(person_id: int) -> ResponseReturnValue:
    """Give somebody a new password, which this answer alone holds, and end their sessions."""
    password = secrets.token_urlsafe(accounts.PASSWORD_BYTES)
    with transaction() as session:
        accounts.change_password(session, person_id, password=password, now=clock.now(), actor=actor())
        document = grants.person_document(accounts.find_person(session, person_id))
    return jsonify({**document, "password": password})


def init_app(app: Flask) -> None:
    """Mount the routes."""
    app.register_blueprint(bp)


def _done(use_case: Callable[..., None], person_id: int) -> ResponseReturnValue:
    with transaction() as session:
        use_case(session, person_id, now=clock.now(), actor=actor())
    return "", 204


def _document(session: Session, person_id: int) -> dict[str, object]:
    person = accounts.find_person(session, person_id)
    tokens = [each.name for each in tokens_made_by(session, person.username)]
    return {**grants.person_document(person), "tokens": sorted(tokens)}


def _grants(models: list[GrantModel]) -> list[Grant]:
    return [grants.parse_grant(f"{each.role}:{each.flag}:{each.environment}") for each in models]


def _body(model: type[M]) -> M:
    if not isinstance(request.get_json(), dict):
        raise Problem(400, "INVALID_BODY", "Send a JSON object.")
    return model.model_validate(request.get_json())
