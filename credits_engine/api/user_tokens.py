"""The product's own JWTs, which say who a user is.

A token is proved by the shared secret (HS256) or by the keys that the product publishes (JWKS). Which of the two is
decided by what is configured and by the token's algorithm: a published key is never taken for a shared secret.
"""

import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import jwt
import structlog

from control_plane.platform.problems import Problem
from control_plane.platform.settings import current
from credits_engine.api.key_set import PublishedKeys, UnusableKeyError

SHARED = "HS256"
PUBLISHED = ("RS256", "ES256", "EdDSA")
LEEWAY_SECONDS = 30
TOKENS_KNOWN, HEADERS_KNOWN = 4096, 64

Claims = Mapping[str, Any]


class Accepted(NamedTuple):
    """For whom tokens may be made, and by whom; empty where that is not configured."""

    audiences: tuple[str, ...]
    issuers: tuple[str, ...]


log = structlog.get_logger()


def proved_user(token: str, keys: PublishedKeys | None) -> str:
    """Return the user whom a token names, by the shared secret or a published key. Raises a 401 or 503 Problem."""
    try:
        algorithm = _algorithm(token.partition(".")[0])
        claims = _claims(token, algorithm, keys)
        return _user_id(claims["sub"])
    except Problem:
        raise
    except jwt.ExpiredSignatureError:
        raise _refusal("The token has expired; sign in to the product again.") from None
    except jwt.InvalidAudienceError:
        raise _refusal("The token is for another audience; USER_JWT_AUDIENCE names those accepted here.") from None
    except jwt.InvalidIssuerError:
        raise _refusal("The token is from another issuer; USER_JWT_ISSUER names those accepted here.") from None
    except (jwt.PyJWTError, UnusableKeyError) as error:
        raise _refusal(f"The token can't be used: {error}.") from None
    except Exception as error:
        # Anybody may write anything into a token, and what reads it was not written for all of that.
        log.warning("product_users.unreadable_token", error=type(error).__name__)
        raise _refusal("The token can't be read.") from None


def _claims(token: str, algorithm: str, keys: PublishedKeys | None) -> Claims:
    configured = current()
    accepted = Accepted(configured.user_jwt_audience, configured.user_jwt_issuer)
    secret = configured.user_jwt_secret
    if algorithm == SHARED and secret:
        return _in_force(_remembered(token, secret, accepted))
    if algorithm in PUBLISHED and keys is not None:
        return _proved(token, _published_key(token, algorithm, keys), algorithm, accepted)
    if not secret and keys is None:
        raise _refusal("This installation accepts no user tokens; set USER_JWT_SECRET or USER_JWT_JWKS_URL.")
    raise _refusal(f"The token is signed with {algorithm[:20]!r}, which is not accepted here.")


@lru_cache(TOKENS_KNOWN)
def _remembered(token: str, secret: str, accepted: Accepted) -> Claims:
    """Verify a token once per secret: a front end presents the same one all day.

    Nothing but time ends what a shared secret has proved. A published key may be withdrawn: its proofs are not kept.
    """
    return _proved(token, secret, SHARED, accepted)


def _proved(token: str, key: Any, algorithm: str, accepted: Accepted) -> Claims:
    claims: Claims = jwt.decode(
        token,
        key,
        algorithms=[algorithm],
        leeway=LEEWAY_SECONDS,
        options={"require": ["exp", "sub"]},
        audience=accepted.audiences or None,
        issuer=accepted.issuers or None,
    )
    return claims


def _in_force(claims: Claims) -> Claims:
    """Check the times of claims that were verified before."""
    if int(claims["exp"]) <= time.time() - LEEWAY_SECONDS:
        raise jwt.ExpiredSignatureError
    return claims


def _published_key(token: str, algorithm: str, keys: PublishedKeys) -> object:
    """Return the published key that the token names."""
    kid = jwt.get_unverified_header(token).get("kid")
    if not isinstance(kid, str):
        raise _refusal("The token names no key; a published key is named by its kid.")
    return keys.find(kid, algorithm)


def _user_id(subject: str) -> str:
    """Return the user whom a token names. Raises Problem or UnicodeError for what no user can be called."""
    subject.encode()
    if not subject or "\x00" in subject:
        raise _refusal("The token names no user.")
    return subject


@lru_cache(HEADERS_KNOWN)
def _algorithm(header: str) -> str:
    """Return the algorithm that a token's first part names, which is the same in every token of a product."""
    return str(jwt.get_unverified_header(f"{header}..").get("alg", ""))


def _refusal(detail: str) -> Problem:
    return Problem(401, "INVALID_USER_TOKEN", detail, headers={"WWW-Authenticate": "Bearer"})
