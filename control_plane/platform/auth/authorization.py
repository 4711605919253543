"""Check roles and tokens in front of the views, and set the headers that protect pages."""

from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Never, ParamSpec, TypeVar
from urllib.parse import urlencode

from flask import Flask, Response, abort, jsonify, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from control_plane.platform import identity_types, settings
from control_plane.platform.auth import authentication, rate_limit
from control_plane.platform.auth.authentication import Principal, presented_token
from control_plane.platform.auth.csrf import SAFE_METHODS, refuse_cross_origin
from control_plane.platform.auth.page_addresses import referring_page
from control_plane.platform.current_request import environ
from control_plane.platform.extensions import AppState
from control_plane.platform.identity_types import EVERY, Person, Role, Token, TokenRefusal, TokenType, role_on
from control_plane.platform.observability import request_outcomes
from control_plane.platform.problems import Problem, wants_page
from control_plane.rollout_names import environment_of, flag_of

SIGN_IN_PATH = "/sign-in"
BODY_BYTES_MAX = 1024 * 1024
LARGER_BODIES = AppState[dict[str, int]]("larger_bodies", dict)
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HSTS = "max-age=31536000"
PAGE_HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    # Not no-referrer: it makes browsers hide the origin of our own forms from the cross-origin check.
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "X-Frame-Options": "DENY",
}
UNLEASH_MISSING = (
    "This endpoint requires an API token. Please add an authorization header to your request with a valid token"
)
UNLEASH_WRONG_TYPE = "invalid token: expected a different token type for this endpoint"

P = ParamSpec("P")
R = TypeVar("R")


def init_app(app: Flask) -> None:
    """Put the checks before every request and the headers on every answer."""
    app.config["MAX_CONTENT_LENGTH"] = app.config["MAX_FORM_MEMORY_SIZE"] = BODY_BYTES_MAX
    authentication.init_app(app)
    rate_limit.init_app(app)
    app.before_request(_check_request)
    app.after_request(_add_headers)


def larger_bodies(app: Flask) -> dict[str, int]:
    """Return the maximum body length at addresses that take more than BODY_BYTES_MAX, by prefix.

    The server reads a body before anybody knows who sends it, so a view that takes more has to be named here too.
    """
    return LARGER_BODIES.get(app)


def require_role(role: Role | str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let in people and admin tokens that have at least this role there. Others are sent to sign in, or get 401 or 403.

    "There" is what the address names as `<flag>` and `<environment>`: see `scope`.
    """
    needed = Role(role)

    def decorate(view: Callable[P, R]) -> Callable[P, R]:
        @wraps(view)
        def checked(*arguments: P.args, **options: P.kwargs) -> R:
            _require_role(needed)
            return view(*arguments, **options)

        return checked

    return decorate


def require_token(
    *types: TokenType | str, unleash: bool = False, any_environment: bool = False
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let in tokens of these types. With `unleash`, refuse in the very words its SDKs and their tests expect.

    A service token opens the server of its own environment alone, except with `any_environment`: that is for flags,
    which answer for the environment of the token, and for what is counted by environment.
    """
    allowed = frozenset(TokenType(each) for each in types)

    def decorate(view: Callable[P, R]) -> Callable[P, R]:
        @wraps(view)
        def checked(*arguments: P.args, **options: P.kwargs) -> R:
            _require_token(allowed, unleash=unleash)
            if not any_environment:
                require_own_environment(token())
            return view(*arguments, **options)

        return checked

    return decorate


def actor() -> str:
    """Return the name of the caller for the audit trail."""
    caller = authentication.current_principal()
    return caller.name if isinstance(caller, Principal) else "anonymous"


def person() -> Person | None:
    """Return the person signed in, if one is."""
    caller = authentication.current_principal()
    return caller.person if isinstance(caller, Principal) else None


def token() -> Token:
    """Return the token that opened this view; only for views under `require_token`."""
    caller = authentication.current_principal()
    if not isinstance(caller, Principal) or caller.token is None:
        raise LookupError("No token opened this view; put require_token over it.")
    return caller.token


def _check_request() -> None:
    found = environ()
    if "\x00" in found["PATH_INFO"] or "%00" in found.get("QUERY_STRING", ""):
        raise Problem(400, "INVALID_CHARACTER", "The address holds a NUL character; leave it out.")
    if found["REQUEST_METHOD"] not in SAFE_METHODS and not presented_token():
        refuse_cross_origin(request)


def _add_headers(response: Response) -> Response:
    headers = response.headers
    headers.setdefault("X-Content-Type-Options", "nosniff")
    if environ()["wsgi.url_scheme"] == "https":
        # Said over HTTPS alone: over plain HTTP browsers must ignore it, and `make run` has no other.
        headers.setdefault("Strict-Transport-Security", HSTS)
    if response.mimetype == "text/html":
        for name, value in PAGE_HEADERS.items():
            headers.setdefault(name, value)
    caller = authentication.cached_principal()
    if isinstance(caller, Principal) and caller.person:
        headers.setdefault("Cache-Control", "no-store")
    return response


def scope() -> tuple[str, str]:
    """Return the flag and the environment that this request is about.

    No flag in the address means every flag; no environment means this installation's, and for what exposes further
    production besides: servers of several environments share their rollouts. A rollout of one environment names it.
    """
    return _scope_of(_named())


def role_here(flag: str = "") -> Role | None:
    """Return the caller's role on `flag` or a rollout of this name, or on what this request is about."""
    caller, name = authentication.current_principal(), flag or _named()
    return _role(caller, name, _scope_of(name)) if isinstance(caller, Principal) else None


def places_owned() -> Sequence[str]:
    """Return the environments, but not every one, in which the caller is owner of every flag, by name."""
    caller = authentication.current_principal()
    owned = [each for each in caller.grants if each.role.includes(Role.OWNER)] if isinstance(caller, Principal) else []
    return sorted({each.environment for each in owned if each.flag == EVERY} - {EVERY})


def require_role_on(role: Role | str, flag: str, environments: Iterable[str]) -> None:
    """Let go on who has this role on a flag in each of these environments, which the address does not name."""
    for environment in environments:
        _require_role(Role(role), (flag, environment))


def _named() -> str:
    return str((request.view_args or {}).get("flag", EVERY))


def _own_environment(name: str) -> str | None:
    return (request.view_args or {}).get("environment") or environment_of(name)


def _scope_of(name: str) -> tuple[str, str]:
    return flag_of(name), _own_environment(name) or settings.current().environment


def _role(caller: Principal, name: str, place: tuple[str, str]) -> Role | None:
    is_named = _own_environment(name) is not None
    return (role_on if is_named else identity_types.shared_role_on)(caller.grants, *place)


def _require_role(needed: Role, named: tuple[str, str] | None = None) -> None:
    # Who may do what is decided for all places at once, so no place is enough for it.
    place = (EVERY, EVERY) if needed is Role.ADMIN else named or scope()
    match authentication.current_principal():
        case Principal() as caller:
            role = caller.role_on(*place) if named else _role(caller, _named(), place)
            if caller.role_on(*place) is not role:
                place = place[0], identity_types.PRODUCTION
            if role is None or not role.includes(needed):
                raise _role_problem(caller, role, needed, place)
            request_outcomes.prove(caller.name)
        case TokenRefusal(reason):
            _refuse(reason, failed=True)
        case None if wants_page():
            abort(_to_sign_in())
        case None:
            _refuse("Sign in, or send an admin token in the Authorization header.", failed=False)


def _role_problem(caller: Principal, role: Role | None, needed: Role, place: tuple[str, str]) -> Problem:
    if caller.person is not None and authentication.lacks_second_factor(caller.person):
        whole = role_on(caller.person.all_grants, *place)
        if whole is not None and whole.includes(needed):
            detail = f"Your role {whole} takes a second factor here; set up an authenticator app on your account first."
            return Problem(403, "SECOND_FACTOR_REQUIRED", detail)
    held = f"{caller.name} is {role}" if role else f"{caller.name} has no role"
    where = " ".join([held, *([_place(*place)] if _place(*place) else [])])
    return Problem(403, "ROLE_REQUIRED", f"This needs the role {needed}, and {where}; ask an admin.")


def _place(flag: str, environment: str) -> str:
    """Return where a role counts, in words; nothing for everywhere."""
    places = [] if flag == EVERY else [f"on {flag}"]
    return " ".join([*places, *([] if environment == EVERY else [f"in {environment}"])])


def _require_token(allowed: frozenset[TokenType], *, unleash: bool) -> None:
    match authentication.token_principal():
        case Principal(token=Token() as held):
            if held.type not in allowed:
                _refuse_type(held, allowed, unleash=unleash)
            if held.type is TokenType.ADMIN:
                # Here it stands in for every other type of token, which takes more than a role of looking on.
                _require_role(Role.VIEWER if request.method in SAFE_METHODS else Role.OWNER, scope())
            if held.type.is_secret:
                request_outcomes.prove(f"token:{held.name}")
        case TokenRefusal(reason):
            _refuse(reason, failed=True, unleash=unleash)
        case _:
            _refuse("Send a token in the Authorization header.", failed=False, unleash=unleash)


def require_own_environment(held: Token) -> None:
    """Refuse a service's token that is for the server of another environment."""
    here = settings.current().environment
    if held.type is TokenType.SERVICE and held.environment not in (EVERY, here):
        detail = f"The token {held.name!r} is for {held.environment}, this server is {here}; use a token for {here}."
        raise Problem(403, "WRONG_ENVIRONMENT", detail)


def _refuse(reason: str, *, failed: bool, unleash: bool = False) -> Never:
    if failed:
        rate_limit.raise_or_count(rate_limit.TOKEN, authentication.address())
    if unleash:
        _refuse_as_unleash(401, UNLEASH_MISSING)
    raise Problem(401, "UNAUTHENTICATED", reason, headers={"WWW-Authenticate": "Bearer"})


def _refuse_type(held: Token, allowed: frozenset[TokenType], *, unleash: bool) -> Never:
    if unleash:
        _refuse_as_unleash(403, UNLEASH_WRONG_TYPE)
    detail = f"The token {held.name!r} is of type {held.type}; this needs {' or '.join(sorted(allowed))}."
    raise Problem(403, "WRONG_TOKEN_TYPE", detail)


def _refuse_as_unleash(status: int, message: str) -> Never:
    response = jsonify(message=message)
    response.status_code = status
    abort(response)


def _to_sign_in() -> AnyResponse:
    """Ask to sign in, and lead back to the page that was asked for, or where the form stood; that is not sent again."""
    if request.method not in SAFE_METHODS:
        parameters = {"next": referring_page(), "unsent": "form"}
    else:
        parameters = {"next": request.full_path.rstrip("?")}
    return redirect(f"{SIGN_IN_PATH}?{urlencode(parameters)}", 303)
