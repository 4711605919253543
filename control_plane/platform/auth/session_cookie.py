"""The cookie of a session: signed, and over HTTPS for this host alone."""

from flask import Flask, Request, Response, request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin
from itsdangerous import BadPayload, URLSafeTimedSerializer

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
        """Open none without a cookie: Flask makes a signer first, and callers of the API send none."""
        if "HTTP_COOKIE" not in request.environ or self.get_cookie_name(app) not in request.cookies:
            return self.session_class()
        try:
            return super().open_session(app, request)
        except BadPayload:  # signed by us, with a text in it that can't be read: no answer would ever replace it
            return self.session_class()

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Save one that was used: Flask works out every attribute of the cookie before it looks for that."""
        if session.accessed or session.modified:
            super().save_session(app, session, response)

    def get_cookie_secure(self, app: Flask) -> bool:  # noqa: ARG002 - Flask's signature
        """Ask the request: `make run` serves plain HTTP on loopback, where a secure cookie would never come back."""
        return request.is_secure
