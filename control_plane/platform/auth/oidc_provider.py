"""What authlib does of a sign-in by an identity provider (OpenID Connect): discovery, PKCE, checks of the id token."""

from collections.abc import Mapping
from typing import Any

import requests
import structlog
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.flask_client import OAuth
from flask import Flask
from joserfc.errors import JoseError
from werkzeug.wrappers import Response

from control_plane.platform.problems import Problem
from control_plane.platform.settings import Settings

NAME = "provider"
SCOPE = "openid profile email"
WAIT_SECONDS = 10

log = structlog.get_logger()


class Provider:
    """The configured provider. Every method raises a 503 Problem while it is away."""

    def __init__(self, app: Flask, settings: Settings) -> None:
        self._client: Any = OAuth(app).register(
            NAME,
            client_id=settings.oidc_client_id,
            client_secret=settings.oidc_client_secret,
            server_metadata_url=f"{settings.oidc_issuer.rstrip('/')}/.well-known/openid-configuration",
            client_kwargs={"scope": SCOPE, "code_challenge_method": "S256", "default_timeout": WAIT_SECONDS},
        )

    def send_there(self, callback: str) -> Response:
        """Send a browser to the provider, to come back to `callback`."""
        try:
            response: Response = self._client.authorize_redirect(callback)
        except (requests.RequestException, AuthlibBaseError, ValueError) as error:
            raise _unreachable(error) from error
        return response

    def claims(self) -> tuple[Mapping[str, object], Mapping[str, object]]:
        """Return the claims of the id token, and what the provider says besides. Raises a 401 Problem without proof."""
        try:
            token = self._client.authorize_access_token()
            claims = dict(token.get("userinfo") or {})
            # Providers may leave the profile out of the id token.
            has_more = "userinfo_endpoint" in self._client.load_server_metadata()
            more = self._client.userinfo(token=token) if has_more else {}
        except (AuthlibBaseError, JoseError, KeyError, ValueError) as error:
            log.warning("oidc.refused", error=type(error).__name__)
            detail = "The identity provider did not prove who you are; sign in again."
            raise Problem(401, "NOT_PROVED", detail) from error
        except requests.RequestException as error:
            raise _unreachable(error) from error
        return claims, more

    def sign_out_place(self) -> str:
        """Return where a browser signs out of the provider; empty where it has no such place."""
        try:
            return str(self._client.load_server_metadata().get("end_session_endpoint", ""))
        except (requests.RequestException, AuthlibBaseError, ValueError) as error:
            raise _unreachable(error) from error


def _unreachable(error: Exception) -> Problem:
    log.warning("oidc.unreachable", error=type(error).__name__)
    detail = "The identity provider can't be asked now; try again, or sign in with a password."
    return Problem(503, "PROVIDER_UNREACHABLE", detail, headers={"Retry-After": "10"})
