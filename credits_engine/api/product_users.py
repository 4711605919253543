"""Users of the product: they come with the product's own JWT, or a service speaks for them.

A token is proved by the shared secret (HS256) or by the keys that the product publishes (JWKS). Which of the two is
decided by what is configured and by the token's algorithm: a published key is never taken for a shared secret.
"""

import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import jwt
import structlog
from flask import Flask, current_app, request

from control_plane.platform import request_outcomes, settings
from control_plane.platform.callers import presented_token
from control_plane.platform.problems import Problem
from control_plane.platform.security import require_token

SHARED = "HS256"
PUBLISHED = ("RS256", "ES256", "EdDSA")
KEYS_SECONDS = 300
KEYS_TIMEOUT_SECONDS = 2
LEEWAY_SECONDS = 30
JWT_DOTS = 2
TOKENS_KNOWN, HEADERS_KNOWN = 4096, 64

Claims = Mapping[str, Any]

log = structlog.get_logger()


def init_app(app: Flask) -> None:
    """Know where the product publishes its keys; they are fetched when first needed and kept for five minutes."""
    url = app.extensions["settings"].user_jwt_jwks_url
    keys = jwt.PyJWKClient(url, lifespan=KEYS_SECONDS, timeout=KEYS_TIMEOUT_SECONDS) if url else None
    app.extensions["user_keys"] = keys


def acting_user() -> str:
    """The user whose credits this request is about. Raises Problem for whoever may not know of them.

    A user's token speaks for that user alone. A service or admin token names any user as `?userId=`.
    """
    token = presented_token()
    if token.count(".") == JWT_DOTS:
        user_id = _subject(token)
        request_outcomes.prove(user_id)
    else:
        _require_service()
        user_id = request.args.get("userId", "")
        if not user_id:
            raise Problem(400, "USER_ID_REQUIRED", "Name the user: add ?userId=… to the address.")
    request_outcomes.note_account(user_id)
    return user_id


@require_token("service", "admin")
def _require_service() -> None:
    """Nothing more than the check."""


def _subject(token: str) -> str:
    try:
        key, algorithm = _key(token)
        claims = _in_force(_remembered(token, key)) if algorithm == SHARED else _proved(token, key, algorithm)
    except jwt.ExpiredSignatureError:
        raise _refusal("The token has expired; sign in to the product again.") from None
    except jwt.PyJWKClientConnectionError as error:
        log.warning("product_users.keys_unreachable", error=str(error))
        detail = "The keys of the product's user tokens can't be fetched at the moment; try again."
        raise Problem(503, "USER_KEYS_UNAVAILABLE", detail, headers={"Retry-After": "2"}) from None
    except (jwt.InvalidTokenError, jwt.PyJWKClientError) as error:
        raise _refusal(f"The token can't be used: {error}.") from None
    subject: str = claims["sub"]
    return subject


@lru_cache(TOKENS_KNOWN)
def _remembered(token: str, secret: str) -> Claims:
    """What a token says that `secret` proves, proved once: a front end shows the same one all day.

    Nothing but time ends what a shared secret has proved. A published key may be withdrawn: its proofs are not kept.
    """
    return _proved(token, secret, SHARED)


def _proved(token: str, key: Any, algorithm: str) -> Claims:
    claims: Claims = jwt.decode(
        token, key, algorithms=[algorithm], leeway=LEEWAY_SECONDS, options={"require": ["exp", "sub"]}
    )
    return claims


def _in_force(claims: Claims) -> Claims:
    """What was proved before, if time has not ended it since."""
    if int(claims["exp"]) <= time.time() - LEEWAY_SECONDS:
        raise jwt.ExpiredSignatureError
    return claims


def _key(token: str) -> tuple[Any, str]:
    algorithm = _algorithm(token.partition(".")[0])
    secret, keys = settings.current().user_jwt_secret, current_app.extensions["user_keys"]
    if algorithm == SHARED and secret:
        return secret, SHARED
    if algorithm in PUBLISHED and keys is not None:
        return keys.get_signing_key_from_jwt(token).key, algorithm
    if not secret and keys is None:
        raise _refusal("This installation accepts no user tokens; set USER_JWT_SECRET or USER_JWT_JWKS_URL.")
    raise _refusal(f"The token is signed with {algorithm[:20]!r}, which is not accepted here.")


@lru_cache(HEADERS_KNOWN)
def _algorithm(header: str) -> str:
    """The algorithm that a token's first part names, which is the same in every token of a product."""
    return str(jwt.get_unverified_header(f"{header}..").get("alg", ""))


def _refusal(detail: str) -> Problem:
    return Problem(401, "INVALID_USER_TOKEN", detail, headers={"WWW-Authenticate": "Bearer"})
