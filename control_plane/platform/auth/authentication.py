"""Identify the caller: a program with a token, a person with a session, or nobody.

A token presented is the only thing looked at: a request that carries one never falls back to the browser's cookie.
"""

from dataclasses import dataclass
from datetime import datetime

import structlog
from flask import Flask, request, session

from control_plane.platform import clock, settings
from control_plane.platform.auth import accounts, own_sessions, passwords, rate_limit, second_factor, sign_in_failures
from control_plane.platform.auth.own_sessions import SESSION_LIFETIME
from control_plane.platform.auth.session_cookie import SessionCookie
from control_plane.platform.auth.sign_in_failures import Limit
from control_plane.platform.auth.tokens import check_token
from control_plane.platform.current_request import environ
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.identity_types import Grant, Person, Role, Token, TokenRefusal, below, role_on
from control_plane.platform.observability.telemetry import ACTOR
from control_plane.platform.problems import Problem

PRINCIPAL = "rollout.caller"
BY_PROVIDER = "by_provider"
"""In the cookie of a session that an identity provider began."""
TOUCH_SECONDS = 60
"""How old the note of the last use may become before the cookie is written again."""
ACCOUNT_CHARACTERS = 64
CONFIRM_SECONDS = 300
"""How long after the password its code may come."""
QUEUE_SHARE = 1 / 16
"""The part of a worker's threads that may wait for a hash: two are made at a time."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody known: the name for the audit trail, what they may, and what proved it."""

    name: str
    grants: tuple[Grant, ...] = ()
    person: Person | None = None
    token: Token | None = None

    def role_on(self, flag: str, environment: str) -> Role | None:
        """Return the role there, `*` for what concerns every flag or environment; None for no rights at all."""
        return role_on(self.grants, flag, environment)


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
    """Return the token of the request: raw or Bearer in `Authorization`, else `X-API-Key`; empty without one."""
    found = environ()
    authorization: str = found.get("HTTP_AUTHORIZATION", "")
    scheme, _, rest = authorization.strip().partition(" ")
    if rest and scheme.lower() == "bearer":
        return rest.strip()
    # Basic credentials may be a proxy's and are sent by the browser itself: they are no token of ours.
    api_key: str = found.get("HTTP_X_API_KEY", "")
    return api_key.strip() if rest or not scheme else scheme


def current_principal() -> Principal | TokenRefusal | None:
    """Return the caller: a refusal for a token that opens nothing, None for nobody. Looked up once per request."""
    known = token_principal()
    if known is not None:
        return known
    if PRINCIPAL not in environ():
        _cache(_session_principal())
    return cached_principal()


def token_principal() -> Principal | TokenRefusal | None:
    """Return the caller who presented a token; None where none was presented."""
    caller = cached_principal()
    if caller is not None:
        return None if isinstance(caller, Principal) and caller.token is None else caller
    text = presented_token()
    return _cache(_token_principal(text)) if text else None


def reload_principal() -> Principal | TokenRefusal | None:
    """Look the caller up again: an answer that takes hours must notice that the session has ended."""
    environ().pop(PRINCIPAL, None)
    return current_principal()


def cached_principal() -> Principal | TokenRefusal | None:
    """Return the caller as far as this request has looked it up."""
    caller: Principal | TokenRefusal | None = environ().get(PRINCIPAL)
    return caller


def sign_in(username: str, password: str, *, now: datetime) -> Person:
    """Start a session; where the person has a second factor, `confirm` starts it.

    Raises Problem: 401 for credentials that don't fit, 429 after too many, 503 in a crowd.
    """
    account = accounts.account_name(username)[:ACCOUNT_CHARACTERS]
    network = rate_limit.network(address())
    # This process's own memory first: it turns a flood away without a word to the database, which counts for all.
    local = (rate_limit.SIGN_IN, network), (rate_limit.ACCOUNT, f"the account {account!r}")
    shared = (
        Limit(f"{sign_in_failures.ACCOUNT}{account}", rate_limit.ACCOUNT.amount),
        Limit(f"{sign_in_failures.NETWORK}{network}", rate_limit.SIGN_IN.amount),
    )
    with rate_limit.attempt(*local) as made, sign_in_failures.attempt(shared, made, now):
        found = _proved(username, password, made)
        if found is None:
            log.warning("person.sign_in_failed", address=address())
            raise Problem(401, "INVALID_CREDENTIALS", "The username or the password is wrong; try again.")
    if found.has_second_factor:
        session.clear()
        session.update(proved=found.id, version=found.session_version, proved_at=now.timestamp())
    else:
        start_session(found, now=now)
    return found


def confirm(code: str, *, now: datetime) -> None:
    """Start the session of somebody whose password was proved a moment ago, by the code of their second factor.

    Raises Problem: 401 for a wrong code or after too long, 429 after too many.
    """
    found, proved_at = proved_person(), session.get("proved_at", 0.0)
    is_late = now.timestamp() - proved_at > CONFIRM_SECONDS
    if found is None or is_late or found.session_version != session.get("version"):
        session.clear()
        raise Problem(401, "SIGN_IN_AGAIN", "That took too long; sign in again.")
    check_code(found, code, now=now)
    start_session(found, now=now, method="password and code")


def proved_person() -> Person | None:
    """Return whoever proved their password in this browser and is still to prove more; None where nobody did."""
    number = session.get("proved")
    if not isinstance(number, int):
        return None
    with read_only() as database_session:
        return accounts.active_person(database_session, number)


def check_code(found: Person, code: str, *, now: datetime) -> None:
    """Use up a code of somebody's second factor. Raises Problem: 401 for a wrong one, 429 after too many."""
    limits = (
        Limit(f"{sign_in_failures.CODE}{found.username}", sign_in_failures.CODES_A_MINUTE),
        Limit(f"{sign_in_failures.NETWORK}{rate_limit.network(address())}", rate_limit.SIGN_IN.amount),
    )
    made = rate_limit.Attempt()
    with sign_in_failures.attempt(limits, made, now):
        with transaction() as database_session:
            made.failed = not second_factor.check(database_session, found, code, now=now)
        if made.failed:
            log.warning("person.code_failed", person=found.username, address=address())
            raise Problem(401, "WRONG_CODE", "The code is wrong, or was used already; wait for the next one.")


def start_session(found: Person, *, now: datetime, method: str = "password") -> None:
    """Begin a session of somebody who has proved who they are, in this browser and in the audit trail."""
    with transaction() as database_session:
        session_id = own_sessions.begin(database_session, found, address=address(), now=now)
        accounts.record_sign_in(database_session, found, address=address(), method=method, now=now)
    remember(found, session_id, now=now)
    log.info("person.signed_in", person=found.username, address=address(), method=method)


def remember(found: Person, session_id: str, *, now: datetime) -> None:
    """Give this browser the cookie of a session."""
    # Nothing of an earlier session survives a sign-in, so that no cookie planted before it gains its rights.
    session.clear()
    session.permanent = True
    began = now.timestamp()
    session.update(id=session_id, version=found.session_version, signed_in_at=began, seen_at=began)
    environ().pop(PRINCIPAL, None)


def change_own_password(found: Person, present: str, password: str, *, now: datetime) -> None:
    """Give the person signed in a password of their choice. This session goes on, all others of theirs end.

    Raises Problem: 403 where the present password is wrong, 422 for one that is weak, 429 after too many tries.
    """
    check_password(found, present, now=now)
    if password == present:
        raise Problem(422, "WEAK_PASSWORD", "The new password is the present one; choose another.")
    with transaction() as database_session:
        accounts.change_password(database_session, found.id, password=password, now=now, actor=found.username)
        own_sessions.renew(database_session, found)


def check_password(found: Person, password: str, *, now: datetime) -> None:
    """Ask somebody who is signed in who they are. Raises Problem: 403 for a wrong password, 429 after too many."""
    limit = Limit(f"{sign_in_failures.ACCOUNT}{found.username}", rate_limit.ACCOUNT.amount)
    local = rate_limit.SIGN_IN, rate_limit.network(address())
    with rate_limit.attempt(local) as made, sign_in_failures.attempt((limit,), made, now):
        if _proved(found.username, password, made) is None:
            raise Problem(403, "WRONG_PASSWORD", "The present password is wrong; nothing was changed.")


def least_role_with_second_factor() -> Role | None:
    """Return the role from which on a second factor is taken here; None where none is."""
    name = settings.current().second_factor_from
    return None if name == settings.NO_ROLE else Role(name)


def lacks_second_factor(found: Person) -> bool:
    """Return whether a role of somebody's does not count until they set up a second factor.

    Whoever comes from an identity provider was asked there.
    """
    least = least_role_with_second_factor()
    if least is None or found.has_second_factor or session.get(BY_PROVIDER):
        return False
    return any(grant.role.includes(least) for grant in found.all_grants)


def sign_out() -> None:
    """End the session of this browser, also for a cookie that somebody kept."""
    session_id = session.get("id")
    if isinstance(session_id, str):
        with transaction() as database_session:
            ended = accounts.end_session(database_session, session_id)
            if ended is not None:
                accounts.record_sign_out(database_session, ended, address=address(), now=clock.now())
    session.clear()
    environ().pop(PRINCIPAL, None)


def address() -> str:
    """Return the address of the client."""
    return request.remote_addr or "an unknown address"


def _cache(caller: Principal | TokenRefusal | None) -> Principal | TokenRefusal | None:
    found = environ()  # not `g`, which outlives a request where tests hold the application context open
    found[PRINCIPAL] = caller
    found[ACTOR] = caller.name if isinstance(caller, Principal) else ""
    return caller


def _token_principal(text: str) -> Principal | TokenRefusal:
    token = check_token(text, clock.now())
    if isinstance(token, TokenRefusal):
        return token
    return Principal(f"token:{token.name}", grants=token.grants, token=token)


def _proved(username: str, password: str, made: rate_limit.Attempt) -> Person | None:
    """Check a password, and note in `made` whether it failed."""
    try:
        # A hash takes time, so only a few requests wait for theirs, and no database connection waits with them.
        with passwords.queue(max(2, int(settings.current().threads * QUEUE_SHARE))):
            with read_only() as database_session:
                person, password_hash = accounts.credentials_for(database_session, username)
            found = accounts.verify_password(person, password_hash, password)
    except Exception:
        made.failed = False  # nothing was proved, neither way
        raise
    made.failed = found is None
    return found


def _session_principal() -> Principal | None:
    now = clock.now().timestamp()
    session_id = session.get("id")
    if not isinstance(session_id, str) or _is_over(now):
        return None
    with read_only() as database_session:
        found = accounts.person_of_session(database_session, session_id)
    # Changing a role or a password raises the version, which ends every session of that person at once.
    if found is None or found.session_version != session.get("version"):
        return None
    # Each write sends the cookie again; once a minute is enough to tell idle from busy.
    if now - session["seen_at"] > TOUCH_SECONDS:
        session["seen_at"] = now
    # Not shut out: making a rollout safer must stay possible, and no role that does only that takes a second factor.
    least = least_role_with_second_factor()
    held = below(found.all_grants, least) if least and lacks_second_factor(found) else found.all_grants
    return Principal(found.username, grants=held, person=found)


def _is_over(now: float) -> bool:
    """Return whether the session has lasted too long, or was not used for too long."""
    idle_seconds = settings.current().session_idle_minutes * 60
    signed_in_at: float = session.get("signed_in_at", 0.0)
    used_at: float = session.get("seen_at", 0.0)
    return now - signed_in_at > SESSION_LIFETIME.total_seconds() or now - used_at > idle_seconds
