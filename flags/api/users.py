"""The directory of the product's users, kept current by the services that know them."""

from collections.abc import Callable
from functools import wraps

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from control_plane.platform import clock
from control_plane.platform.auth.authentication import Principal, current_principal
from control_plane.platform.auth.authorization import actor, require_role, require_token
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.http.openapi import openapi_doc
from control_plane.platform.identity_types import TokenType
from control_plane.platform.problems import Problem
from flags import store
from flags.administration.users import UserChange, import_users, to_json
from flags.api import schemas
from flags.api.requests import UserRequest, UsersRequest, fields_set, parse_body

bp = Blueprint("users", __name__, url_prefix="/api/users")

View = Callable[..., ResponseReturnValue]


def service_or(role: str) -> Callable[[View], View]:
    """Let in services by their token, and people and admin tokens from this role up."""

    def decorate(view: View) -> View:
        by_token, by_role = require_token("service")(view), require_role(role)(view)

        @wraps(view)
        def checked(*arguments: object, **options: object) -> ResponseReturnValue:
            caller = current_principal()
            token = caller.token if isinstance(caller, Principal) else None
            has_role = token is None or token.type is TokenType.ADMIN
            return (by_role if has_role else by_token)(*arguments, **options)

        return checked

    return decorate


@bp.post("")
@service_or("operator")
@openapi_doc(body=UsersRequest, answers={200: schemas.ImportedUsers})
def enter() -> ResponseReturnValue:
    """Enter users or what is new of them, all or none; who puts somebody on the beta allowlist is an owner."""
    changes = [_change(user) for user in parse_body(UsersRequest).users]
    joins = any(change.attributes.get("beta") for change in changes)
    return (service_or("owner")(_enter) if joins else _enter)(changes)


def _enter(changes: list[UserChange]) -> ResponseReturnValue:
    with transaction() as session:
        entered = import_users(session, changes, actor=actor(), now=clock.now())
    return jsonify({"users": entered})


@bp.get("/<path:user_id>")
@service_or("operator")
@openapi_doc(answers={200: schemas.DirectoryUser})
def show(user_id: str) -> ResponseReturnValue:
    """Return one user's attributes in the directory."""
    with read_only() as session:
        user = store.user(session, user_id)
    if user is None:
        raise Problem(404, "USER_NOT_FOUND", f"The directory does not know {user_id!r}.")
    return jsonify(to_json(user))


def _change(user: UserRequest) -> UserChange:
    attributes = fields_set(user)
    user_id = attributes.pop("user_id")
    for required in ("plan", "beta"):
        if attributes.get(required, "") is None:
            del attributes[required]
    return UserChange(user_id, attributes)
