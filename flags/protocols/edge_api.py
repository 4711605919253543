"""Token validation for relays."""

from flask import Blueprint, Flask, jsonify
from flask.typing import ResponseReturnValue

from control_plane.platform import clock
from control_plane.platform.auth import authentication, rate_limit, tokens
from control_plane.platform.http.openapi import openapi_doc
from control_plane.platform.identity_types import EVERY, Token, TokenRefusal
from flags.protocols import requests, responses
from flags.protocols.unleash_errors import parse_body, unleash_error_handler

bp = Blueprint("edge_api", __name__, url_prefix="/edge")

TOKENS_MAX = 100


@bp.post("/validate")
@openapi_doc(body=requests.Tokens, answers={200: responses.ValidTokens})
@unleash_error_handler
def validate_view() -> ResponseReturnValue:
    """Return the tokens among those sent that open something, each with its type and environment.

    It needs no token of its own, so what it is sent counts like any other attempt to be let in.
    """
    rate_limit.raise_if_exceeded(rate_limit.TOKEN, authentication.address())
    presented, now = parse_body(requests.Tokens).tokens[:TOKENS_MAX], clock.now()
    checked = [(text, tokens.check_token(text, now)) for text in presented]
    for _, token in checked:
        if isinstance(token, TokenRefusal):
            rate_limit.count(rate_limit.TOKEN, authentication.address())
    return jsonify({"tokens": [_document(text, token) for text, token in checked if isinstance(token, Token)]})


def init_app(app: Flask) -> None:
    """Mount the routes."""
    app.register_blueprint(bp)


def _document(text: str, token: Token) -> dict[str, object]:
    scope = {"type": token.type.value, "projects": list(token.projects) or [EVERY], "environment": token.environment}
    return {"token": text, **scope, "trustedAttributes": list(token.trusted_attributes)}
