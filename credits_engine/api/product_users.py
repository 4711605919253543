"""Users of the product: they come with the product's own JWT, or a service speaks for them."""

from typing import TYPE_CHECKING

from flask import Flask, request

from control_plane.platform import settings
from control_plane.platform.auth.authentication import presented_token
from control_plane.platform.auth.authorization import require_token
from control_plane.platform.extensions import AppState
from control_plane.platform.observability import request_outcomes
from control_plane.platform.problems import Problem

if TYPE_CHECKING:
    from credits_engine.api import key_set

JWT_DOTS = 2
PUBLISHED_KEYS: "AppState[key_set.PublishedKeys | None]" = AppState("published_user_keys")


def init_app(app: Flask) -> None:
    """Know where the product publishes its keys."""
    PUBLISHED_KEYS.set(app, None)
    if url := settings.SETTINGS.get(app).user_jwt_jwks_url:
        from credits_engine.api import key_set  # noqa: PLC0415 - with its cryptography, heavy

        PUBLISHED_KEYS.set(app, key_set.PublishedKeys(url))


def acting_user() -> str:
    """Return the user whose credits this request is about. Raises Problem for whoever may not know of them.

    A user's token speaks for that user alone. A service or admin token names any user as `?userId=`.
    """
    token = presented_token()
    if token.count(".") == JWT_DOTS:
        from credits_engine.api import user_tokens  # noqa: PLC0415 - heavy, and many installations have no such tokens

        user_id = user_tokens.proved_user(token, PUBLISHED_KEYS.get())
        request_outcomes.prove(user_id)
    else:
        _require_service()
        user_id = request.args.get("userId", "")
        if not user_id:
            raise Problem(400, "USER_ID_REQUIRED", "Add ?userId=… to the address.")
    request_outcomes.set_account(user_id)
    return user_id


@require_token("service", "admin")
def _require_service() -> None:
    """Check the scope, and nothing more."""
