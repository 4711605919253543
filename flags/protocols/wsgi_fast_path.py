"""The few requests that SDKs make all the time, answered in front of Flask from what is in memory.

A lane gives the very reply that the view gives, or steps aside: whatever is unusual in a request (no token, one that
opens nothing, an odd body, a query it doesn't know) is left to the view, which knows how to refuse.
"""

import contextvars
import threading
from collections.abc import Callable, Iterable
from functools import partial
from io import BytesIO
from time import perf_counter
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from flask import Flask
from werkzeug.datastructures import EnvironHeaders

from control_plane.platform import clock
from control_plane.platform.auth import tokens
from control_plane.platform.http.immediate_answers import IS_IMMEDIATE
from control_plane.platform.identity_types import Token, TokenType
from control_plane.platform.json_provider import loads
from control_plane.platform.observability import telemetry
from flags.evaluation.contexts import Context, from_query
from flags.protocols import client_api, frontend, ofrep
from flags.protocols.cors import OPEN_TO_ALL
from flags.protocols.raw_response import RawResponse
from flags.protocols.request_normalization import normalize

Environ = dict[str, Any]

BODY_BYTES_MAX = 64 * 1024
ONE_FLAG = "/ofrep/v1/evaluate/flags/"
HEADERS = (("X-Content-Type-Options", "nosniff"),)
HEADERS_FOR_ALL = (*HEADERS, *OPEN_TO_ALL)


class FastRoute(NamedTuple):
    """A route answered before Flask, for tokens of some types."""

    route: str
    types: frozenset[str]
    answer: Callable[[Environ, Token], RawResponse | None]
    headers: tuple[tuple[str, str], ...] = HEADERS


class FastPath:
    """A WSGI application in front of the application's own."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._behind = app.wsgi_app
        self._threads = threading.local()

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer, or let the application answer."""
        started = perf_counter()
        refused = normalize(environ)
        if refused is not None:
            start_response(refused.line, [*refused.headers, *HEADERS_FOR_ALL])
            return [refused.body]
        lane = _route(environ["REQUEST_METHOD"], environ["PATH_INFO"])
        reply = self._thread_context().run(_reply, lane, environ) if lane else None
        if lane is None or reply is None:
            return self._behind(environ, start_response)
        telemetry.observe(environ["REQUEST_METHOD"], lane.route, reply.status, perf_counter() - started)
        start_response(reply.line, [*reply.headers, *lane.headers])
        return [reply.body]

    def _thread_context(self) -> contextvars.Context:
        """Return a context of this thread in which the application's stays open."""
        # To open one costs as much as an answer, and no lane leaves anything behind for the end of a request to close.
        context: contextvars.Context | None = getattr(self._threads, "context", None)
        if context is None:
            context = self._threads.context = contextvars.Context()
            context.run(self._app.app_context().push)
        return context


def init_app(app: Flask) -> None:
    """Put the lanes in front of the application."""
    app.wsgi_app = FastPath(app)  # type: ignore[method-assign]
    IS_IMMEDIATE.set(app, partial(_is_immediate, app))


def _is_immediate(app: Flask, environ: Environ) -> bool:
    # A token that this process does not know yet is asked for at the database, which may keep its thread for seconds.
    is_fast = _route(environ["REQUEST_METHOD"], environ["PATH_INFO"]) is not None
    return is_fast and tokens.is_remembered(app, _presented(environ))


def _reply(lane: FastRoute, environ: Environ) -> RawResponse | None:
    try:
        token = tokens.check_token(_presented(environ), clock.now())
        known = isinstance(token, Token) and token.type in lane.types
        return lane.answer(environ, token) if known and isinstance(token, Token) else None
    except Exception:
        return None


def _route(method: str, path: str) -> FastRoute | None:
    if method == "POST" and path.startswith(ONE_FLAG):
        return ONE_FLAG_ROUTE
    return ROUTES.get((method, path))


def _presented(environ: Environ) -> str:
    text: str = environ.get("HTTP_AUTHORIZATION") or environ.get("HTTP_X_API_KEY", "")
    return text.removeprefix("Bearer ").strip()


def _features(environ: Environ, token: Token) -> RawResponse | None:
    return None if environ.get("QUERY_STRING") else client_api.features(EnvironHeaders(environ), token)


def _toggles(environ: Environ, token: Token) -> RawResponse | None:
    query = environ.get("QUERY_STRING", "")
    # The view refuses it with a problem of its own.
    if "%00" in query:
        return None
    # Reversed, because Flask takes the first of several values and a dict the last.
    arguments = dict(reversed(parse_qsl(query, keep_blank_values=True)))
    return _frontend(environ, from_query(arguments), token)


def _posted_toggles(environ: Environ, token: Token) -> RawResponse | None:
    body = _body(environ)
    return None if body is None else _frontend(environ, frontend.from_body(loads(body) if body else {}), token)


def _frontend(environ: Environ, context: Context, token: Token) -> RawResponse:
    address, known_etag = environ.get("REMOTE_ADDR"), environ.get("HTTP_IF_NONE_MATCH")
    return frontend.toggles(context, token, address=address, if_none_match=known_etag)


def _one_flag(environ: Environ, token: Token) -> RawResponse | None:
    key, body = environ["PATH_INFO"].removeprefix(ONE_FLAG), _body(environ)
    return None if body is None or not key.isascii() else ofrep.one(key, body, token)


def _all_flags(environ: Environ, token: Token) -> RawResponse | None:
    body = _body(environ)
    return None if body is None else ofrep.bulk(body, token, environ.get("HTTP_IF_NONE_MATCH"))


def _body(environ: Environ) -> bytes | None:
    """Return the body, put back for whoever reads it after us; None for one that is long, or of unknown length."""
    length = environ.get("CONTENT_LENGTH", "")
    if not length.isdecimal() or int(length) > BODY_BYTES_MAX:
        return None
    body: bytes = environ["wsgi.input"].read(int(length))
    environ["wsgi.input"] = BytesIO(body)
    return body


SDKS = frozenset({TokenType.CLIENT.value})
BROWSERS, PROVIDERS = frozenset(frontend.TYPES), frozenset(ofrep.TYPES)
ONE_FLAG_ROUTE = FastRoute("/ofrep/v1/evaluate/flags/<key>", PROVIDERS, _one_flag, HEADERS_FOR_ALL)
ROUTES = {
    ("GET", "/api/client/features"): FastRoute("/api/client/features", SDKS, _features),
    ("GET", "/api/frontend"): FastRoute("/api/frontend", BROWSERS, _toggles, HEADERS_FOR_ALL),
    ("POST", "/api/frontend"): FastRoute("/api/frontend", BROWSERS, _posted_toggles, HEADERS_FOR_ALL),
    ("POST", "/ofrep/v1/evaluate/flags"): FastRoute("/ofrep/v1/evaluate/flags", PROVIDERS, _all_flags, HEADERS_FOR_ALL),
}
