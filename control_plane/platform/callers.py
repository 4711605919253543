"""Who makes the request: a program with a token, a person with a session, or nobody known.

A token presented is the only thing looked at: a request that carries one never falls back to the browser's cookie.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from flask import Flask, Request, request, session
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface

from control_plane.platform import failures, identity
from control_plane.platform.actors import Person, Role, Token, TokenRefusal, TokenType
from control_plane.platform.database import reading
from control_plane.platform.problems import Problem
from control_plane.platform.telemetry import ACTOR

CALLER = "rollout.caller"
SESSION_LIFETIME = timedelta(hours=12)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody known: the name for the audit trail, the role, and what proved it."""

    name: str
    role: Role | None = None
    person: Person | None = None
    token: Token | None = None


class SessionCookie(SecureCookieSessionInterface):
    """Flask's signed cookie, marked secure wherever the request came over HTTPS."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Flask makes a signer before it looks for a cookie, and callers of the API send none."""
        if self.get_cookie_name(app) not in request.cookies:
            return self.session_class()
        return super().open_session(app, request)

    def get_cookie_secure(self, app: Flask) -> bool:  # noqa: ARG002 - Flask's signature
        """Not a setting: `make run` serves plain HTTP on loopback, where a secure cookie would never come back."""
        return request.is_secure


def init_app(app: Flask) -> None:
    """Set how sessions are kept in the browser."""
    app.config.update(
        SESSION_COOKIE_NAME="rollout_session",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_REFRESH_EACH_REQUEST=False,
        PERMANENT_SESSION_LIFETIME=SESSION_LIFETIME,
    )
    app.session_interface = SessionCookie()


def presented_token() -> str:
    """The token of the request: raw or Bearer in `Authorization`, else `X-API-Key`; empty without one."""
    environ = request.environ
    authorization: str = environ.get("HTTP_AUTHORIZATION", "")
    scheme, _, rest = authorization.strip().partition(" ")
    if rest and scheme.lower() == "bearer":
        return rest.strip()
    # Basic credentials may be a proxy's and are sent by the browser itself: they are no token of ours.
    api_key: str = environ.get("HTTP_X_API_KEY", "")
    return api_key.strip() if rest or not scheme else scheme


def current() -> Caller | TokenRefusal | None:
    """Who calls; a refusal for a token that opens nothing, None for nobody. Looked up once per request."""
    known = by_token()
    if known is not None:
        return known
    if CALLER not in request.environ:
        _remember(_by_session())
    return remembered()


def by_token() -> Caller | TokenRefusal | None:
    """Who calls with a token; None where none was presented."""
    caller = remembered()
    if caller is not None:
        return None if isinstance(caller, Caller) and caller.token is None else caller
    text = presented_token()
    return _remember(_by_token(text)) if text else None


def afresh() -> Caller | TokenRefusal | None:
    """Who calls, looked up again: an answer that goes on for hours must notice that the session was ended."""
    request.environ.pop(CALLER, None)
    return current()


def remembered() -> Caller | TokenRefusal | None:
    """Who calls, as far as this request has asked already."""
    caller: Caller | TokenRefusal | None = request.environ.get(CALLER)
    return caller


def sign_in(username: str, password: str, *, now: datetime) -> Person:
    """Start a session. Raises Problem: 401 for credentials that don't fit, 429 after too many of them."""
    failures.refuse_if_exhausted(failures.SIGN_IN, address())
    with reading() as database_session:
        found = identity.authenticate(database_session, username, password)
    if found is None:
        failures.count(failures.SIGN_IN, address())
        log.warning("person.sign_in_failed", address=address())
        raise Problem(401, "INVALID_CREDENTIALS", "The username or the password is wrong; try again.")
    session.clear()
    session.permanent = True
    session.update(person=found.id, version=found.session_version, signed_in_at=now.timestamp())
    request.environ.pop(CALLER, None)
    log.info("person.signed_in", person=found.username, address=address())
    return found


def sign_out() -> None:
    """End the session of this browser; `identity.end_sessions` ends those of every browser."""
    session.clear()
    request.environ.pop(CALLER, None)


def address() -> str:
    """Where the request came from."""
    return request.remote_addr or "an unknown address"


def _remember(caller: Caller | TokenRefusal | None) -> Caller | TokenRefusal | None:
    environ = request.environ  # not `g`, which outlives a request where tests hold the application context open
    environ[CALLER] = caller
    environ[ACTOR] = caller.name if isinstance(caller, Caller) else ""
    return caller


def _by_token(text: str) -> Caller | TokenRefusal:
    token = identity.check_token(text, datetime.now(UTC))
    if isinstance(token, TokenRefusal):
        return token
    role = Role.OWNER if token.type is TokenType.ADMIN else None
    return Caller(f"token:{token.name}", role=role, token=token)


def _by_session() -> Caller | None:
    if "person" not in session or _is_over(session.get("signed_in_at", 0.0)):
        return None
    with reading() as database_session:
        found = identity.find_person(database_session, session["person"])
    if found is None or found.session_version != session.get("version"):
        return None
    return Caller(found.username, role=found.role, person=found)


def _is_over(signed_in_at: float) -> bool:
    return datetime.now(UTC).timestamp() - signed_in_at > SESSION_LIFETIME.total_seconds()
