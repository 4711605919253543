"""Let users in or keep them out by name. Keeping one out is safer than letting one in, and asks for less."""

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.platform import clock
from control_plane.platform.auth.authorization import actor, require_role
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.http.openapi import openapi_doc
from control_plane.platform.problems import Problem
from flags import store
from flags.administration.overrides import put_override, remove_override, to_json, unsent_warning
from flags.api import paging, schemas
from flags.api.requests import OverrideRequest, ReasonRequest, parse_body
from flags.store import Effect

bp = Blueprint("overrides", __name__, url_prefix="/api/flags/<flag>/overrides")


@bp.get("")
@require_role("viewer")
@openapi_doc(
    query=paging.QUERY,
    answers={200: schemas.OverrideList},
)
def index(flag: str) -> ResponseReturnValue:
    """Return the overrides of the flag by user, a page at a time.

    The answer says so where not all of them travel to SDKs.
    """
    limit = paging.page_limit()
    with read_only() as session:
        rollouts.find(session, flag)
        found = store.list_overrides(session, flag, after=paging.page_cursor(), limit=2 * limit + 1)
        warning = unsent_warning(session, flag, clock.now())
    users = [*dict.fromkeys(override.user_id for override in found)]
    page = {*users[:limit]}
    more = {"next": users[limit - 1]} if len(users) > limit else {}
    listed = [to_json(override) for override in found if override.user_id in page]
    return jsonify({"overrides": listed, **more, **({"warning": warning} if warning else {})})


@bp.put("/allow/<path:user_id>")
@require_role("owner")
@openapi_doc(body=OverrideRequest, answers={200: schemas.StoredOverride})
def allow(flag: str, user_id: str) -> ResponseReturnValue:
    """Let the user in, whatever phase the rollout is in."""
    return _put(flag, user_id, Effect.ALLOW)


@bp.put("/deny/<path:user_id>")
@require_role("operator")
@openapi_doc(body=OverrideRequest, answers={200: schemas.StoredOverride})
def deny(flag: str, user_id: str) -> ResponseReturnValue:
    """Keep the user out, whatever else would let them in."""
    return _put(flag, user_id, Effect.DENY)


@bp.delete("/allow/<path:user_id>")
@require_role("operator")
@openapi_doc(body=ReasonRequest, answers={204: None})
def end_allow(flag: str, user_id: str) -> ResponseReturnValue:
    """Treat the user like everybody again who was let in by name."""
    return _remove(flag, user_id, Effect.ALLOW)


@bp.delete("/deny/<path:user_id>")
@require_role("owner")
@openapi_doc(body=ReasonRequest, answers={204: None})
def end_deny(flag: str, user_id: str) -> ResponseReturnValue:
    """Treat the user like everybody again who was kept out by name."""
    return _remove(flag, user_id, Effect.DENY)


def _put(flag: str, user_id: str, effect: Effect) -> ResponseReturnValue:
    wanted = parse_body(OverrideRequest)
    with transaction() as session:
        override = put_override(
            session,
            flag,
            user_id,
            effect,
            ChangeContext(clock.now(), actor(), wanted.reason),
            expires_at=wanted.expires_at,
        )
        warning = unsent_warning(session, flag, clock.now())
    return jsonify(to_json(override) | ({"warning": warning} if warning else {}))


def _remove(flag: str, user_id: str, effect: Effect) -> ResponseReturnValue:
    wanted = parse_body(ReasonRequest)
    with transaction() as session:
        removed = remove_override(session, flag, user_id, effect, ChangeContext(clock.now(), actor(), wanted.reason))
    if not removed:
        raise Problem(404, "OVERRIDE_NOT_FOUND", f"No {effect} override of {flag} names {user_id!r}.")
    return "", 204
