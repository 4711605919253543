"""Tokens of services, SDKs and browsers: made, listed, ended by owners. A token's text is shown once."""

from collections.abc import Collection
from datetime import datetime

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from control_plane.platform import clock, identity_types
from control_plane.platform.auth import tokens
from control_plane.platform.auth.authorization import actor, require_role
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.http.openapi import ResponseModel, openapi_doc
from control_plane.platform.identity_types import TokenType, token_selector
from control_plane.platform.problems import Problem
from control_plane.platform.settings import current
from flags.api.requests import ReasonRequest, TokenRequest, parse_body

bp = Blueprint("tokens", __name__, url_prefix="/api/tokens")


class Token(ResponseModel):
    """A token without what would open anything."""

    id: int
    name: str
    type: str
    environment: str
    selector: str
    trusted_attributes: list[str]
    created_at: str
    created_by: str
    expires_at: str | None
    revoked_at: str | None
    last_seen_at: str | None
    role: str | None
    flags: list[str]
    projects: list[str]


class CreatedToken(Token):
    """A new token; nothing but this answer ever holds its text."""

    token: str


class TokenList(ResponseModel):
    """Every token, the newest first."""

    tokens: list[Token]


@bp.get("")
@require_role("admin")
@openapi_doc(answers={200: TokenList})
def index() -> ResponseReturnValue:
    """Return every token, the newest first, without what would open anything."""
    with read_only() as session:
        return jsonify({"tokens": [_document(token) for token in tokens.list_tokens(session)]})


@bp.post("")
@require_role("admin")
@openapi_doc(body=TokenRequest, answers={201: CreatedToken})
def create() -> ResponseReturnValue:
    """Make a token; the answer alone ever holds its text."""
    wanted = parse_body(TokenRequest)
    with transaction() as session:
        text = tokens.create_token(
            session,
            tokens.NewToken(
                wanted.name,
                wanted.type,
                environment=wanted.environment or current().environment,
                expires_at=wanted.expires_at,
                trusted_attributes=_trusted(wanted),
                role=wanted.role,
                flags=wanted.flags,
                projects=wanted.projects,
            ),
            now=clock.now(),
            actor=actor(),
        )
        made = next(token for token in tokens.list_tokens(session) if token.selector == token_selector(text))
    return jsonify({**_document(made), "token": text}), 201


@bp.delete("/<int:token_id>")
@require_role("admin")
@openapi_doc(body=ReasonRequest, answers={204: None})
def revoke(token_id: int) -> ResponseReturnValue:
    """End a token, everywhere within a second. Repeating it changes nothing."""
    wanted = parse_body(ReasonRequest)
    if token_id > 2**62:
        raise Problem(404, "TOKEN_NOT_FOUND", f"There is no token with the id {token_id}.")
    with transaction() as session:
        tokens.revoke_token(session, token_id, now=clock.now(), actor=actor(), reason=wanted.reason)
    return "", 204


def _trusted(wanted: TokenRequest) -> Collection[str]:
    if wanted.trusted_attributes is None and wanted.type in set(TokenType):
        return TokenType(wanted.type).trusted_by_default
    return wanted.trusted_attributes or ()


def _document(token: identity_types.Token) -> dict[str, object]:
    return {
        "id": token.id,
        "name": token.name,
        "type": token.type.value,
        "environment": token.environment,
        "selector": token.selector,
        "trustedAttributes": list(token.trusted_attributes),
        "createdAt": token.created_at.isoformat(),
        "createdBy": token.created_by,
        "expiresAt": _to_json(token.expires_at),
        "revokedAt": _to_json(token.revoked_at),
        "lastSeenAt": _to_json(token.last_seen_at),
        "role": token.role,
        "flags": list(token.flags),
        "projects": list(token.projects),
    }


def _to_json(instant: datetime | None) -> str | None:
    return instant.isoformat() if instant else None
