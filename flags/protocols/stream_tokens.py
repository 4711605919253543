"""Addresses of event streams that carry their own permission: browsers can't send a header when they open a stream."""

from dataclasses import astuple, dataclass
from datetime import timedelta

from flask import current_app
from itsdangerous import BadData, URLSafeTimedSerializer

from control_plane.platform.auth.timestamp_signer import DatabaseTimestampSigner

VALID_FOR = timedelta(hours=1)
SALT = "flag event channel"


@dataclass(frozen=True, slots=True)
class StreamToken:
    """The right to an environment's changes since a revision, as long as the API token is valid.

    `projects` are those that the token is held to.
    """

    selector: str
    environment: str
    feature_set_tag: str
    projects: tuple[str, ...] = ()


def sign(channel: StreamToken) -> str:
    """Return the channel as part of an address, for an hour."""
    return _signer().dumps(astuple(channel))


def verify(text: str) -> StreamToken | None:
    """Return the channel behind an address; None for one that is forged or too old."""
    try:
        selector, environment, tag, projects = _signer().loads(text, max_age=int(VALID_FOR.total_seconds()))
    except (BadData, ValueError):  # of an earlier release, perhaps: providers evaluate again
        return None
    return StreamToken(selector, environment, tag, tuple(projects))


def _signer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(current_app.secret_key or "", salt=SALT, signer=DatabaseTimestampSigner)
