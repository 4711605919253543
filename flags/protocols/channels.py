"""Addresses of event streams that carry their own permission: browsers can't send a header when they open a stream."""

from datetime import timedelta

from flask import current_app
from itsdangerous import BadData, URLSafeTimedSerializer

from control_plane.platform.actors import Token

VALID_FOR = timedelta(hours=1)
SALT = "flag event channel"


def issue(token: Token, environment: str) -> str:
    """A channel for whoever holds the token: opens the stream of this environment for an hour, and nothing else."""
    return _signer().dumps([token.selector, environment])


def opened(channel: str) -> tuple[str, str] | None:
    """The selector and the environment that a channel was issued for; None for one that is forged or too old."""
    try:
        selector, environment = _signer().loads(channel, max_age=int(VALID_FOR.total_seconds()))
    except (BadData, ValueError):
        return None
    return selector, environment


def _signer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(current_app.secret_key or "", salt=SALT)
