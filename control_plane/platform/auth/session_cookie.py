"""The cookie of a session: signed, and over HTTPS for this host alone."""

from flask import Flask, Request, request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from itsdangerous import URLSafeTimedSerializer

from control_plane.platform.auth.timestamp_signer import DatabaseTimestampSigner


class SessionCookie(SecureCookieSessionInterface):
    """Flask's signed cookie; over HTTPS marked secure, and named so that browsers let no other host set it."""

    def get_cookie_name(self, app: Flask) -> str:
        """Return the name: `__Host-` makes browsers insist on Secure, on this host alone and on the whole of it."""
        name = super().get_cookie_name(app)
        return f"__Host-{name}" if request.is_secure else name

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer | None:
        """Return Flask's own, which goes by the clock that all hosts share."""
        serializer = super().get_signing_serializer(app)
        if serializer is not None:
            serializer.signer = DatabaseTimestampSigner
        return serializer

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Flask makes a signer before it looks for a cookie, and callers of the API send none."""
        if self.get_cookie_name(app) not in request.cookies:
            return self.session_class()
        return super().open_session(app, request)

    def get_cookie_secure(self, app: Flask) -> bool:  # noqa: ARG002 - Flask's signature
        """Not a setting: `make run` serves plain HTTP on loopback, where a secure cookie would never come back."""
        return request.is_secure
