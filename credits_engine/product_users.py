"""Users of the product: they come with the product's own JWT, or a service speaks for them."""

import jwt
from flask import request

from control_plane.platform import settings
from control_plane.platform.callers import presented_token
from control_plane.platform.problems import Problem
from control_plane.platform.security import require_token

ALGORITHM = "HS256"
LEEWAY_SECONDS = 30
JWT_DOTS = 2


def acting_user() -> str:
    """The user whose credits this request is about. Raises Problem for whoever may not know of them.

    A user's token speaks for that user alone. A service or admin token names any user as `?userId=`.
    """
    token = presented_token()
    if token.count(".") == JWT_DOTS:
        return _subject(token)
    _require_service()
    user_id = request.args.get("userId", "")
    if not user_id:
        raise Problem(400, "USER_ID_REQUIRED", "Name the user: add ?userId=… to the address.")
    return user_id


@require_token("service", "admin")
def _require_service() -> None:
    """Nothing more than the check."""


def _subject(token: str) -> str:
    secret = settings.current().user_jwt_secret
    if not secret:
        raise _refusal("This installation accepts no user tokens; set USER_JWT_SECRET.")
    try:
        claims = jwt.decode(
            token, secret, algorithms=[ALGORITHM], leeway=LEEWAY_SECONDS, options={"require": ["exp", "sub"]}
        )
    except jwt.ExpiredSignatureError:
        raise _refusal("The token has expired; sign in to the product again.") from None
    except jwt.InvalidTokenError as error:
        raise _refusal(f"The token can't be used: {error}.") from None
    subject: str = claims["sub"]
    return subject


def _refusal(detail: str) -> Problem:
    return Problem(401, "INVALID_USER_TOKEN", detail, headers={"WWW-Authenticate": "Bearer"})
