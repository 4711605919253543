"""Refusals that a caller can act on: RFC 9457 documents for programs, a plain page for people."""

from collections.abc import Mapping
from http import HTTPStatus

import structlog
from flask import Flask, Response, g, json, render_template, request
from jinja2 import TemplateNotFound
from markupsafe import escape
from pydantic import ValidationError
from sqlalchemy.exc import DataError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from werkzeug.exceptions import HTTPException
from werkzeug.sansio.response import Response as AnyResponse

from control_plane.change_context import trimmed
from control_plane.platform import json_provider
from control_plane.platform.db import errors
from control_plane.platform.json_provider import MalformedJSON

MEDIA_TYPE = "application/problem+json"
PROBLEM_CODE = "rollout.problem_code"
API_PREFIXES = ("/api/", "/ofrep/", "/edge/", "/openapi/")
RETRY_SECONDS = 2
READ_ONLY = "25006"
"""What PostgreSQL answers to a write where it may only be read, as after a standby took over."""
RENAMED_STATUSES = {413: "CONTENT_TOO_LARGE", 422: "UNPROCESSABLE_CONTENT"}  # RFC 9110's words on every Python
FALLBACK_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>
<body><main><h1>{title}</h1><p>{detail}</p><p><small>{code} · request {request_id}</small></p>
<p><a href="/">Back to the rollouts</a></p></main></body></html>
"""

log = structlog.get_logger()


class Problem(Exception):  # noqa: N818 - named after the document it becomes
    """A refusal: its HTTP status, a code that never changes, one sentence with what to do, and extra members."""

    def __init__(
        self, status: int, code: str, detail: str, *, headers: Mapping[str, str] | None = None, **members: object
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})
        self.members = members

    @property
    def title(self) -> str:
        """The standard phrase of the status, as RFC 9457 asks of problems of the type about:blank."""
        return HTTPStatus(self.status).phrase

    def document(self, request_id: str = "") -> dict[str, object]:
        """Return the problem document; an extra member never replaces a standard one."""
        standard = {"type": "about:blank", "title": self.title, "status": self.status, "detail": self.detail}
        return {**self.members, **standard, "code": self.code, "request_id": request_id}


def require_reason(reason: str) -> None:
    """Raise Problem where a change says nothing about why."""
    if not trimmed(reason):
        raise Problem(422, "REASON_REQUIRED", "Say why: a reason is required.")


def init_app(app: Flask) -> None:
    """Answer every exception with a problem; what the caller can't know is logged and never sent."""
    json_provider.init_app(app)
    app.register_error_handler(Problem, respond)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(ValidationError, _invalid)
    app.register_error_handler(DBAPIError, _database)
    app.register_error_handler(PoolTimeoutError, _database)
    app.register_error_handler(Exception, _unexpected)


def respond(problem: Problem) -> Response:
    """Return the response to a problem: a page where a browser asked for one, a problem document elsewhere."""
    request.environ[PROBLEM_CODE] = problem.code
    if wants_page():
        response = Response(_page(problem), problem.status, mimetype="text/html")
    else:
        response = Response(_json(problem), problem.status, content_type=MEDIA_TYPE)
    response.headers.update(problem.headers)
    return response


def is_api_path(path: str) -> bool:
    """Return whether programs use this path; they never get a page."""
    return path.startswith(API_PREFIXES)


def wants_page() -> bool:
    """Return whether the client is a browser: outside the API, and preferring HTML to JSON."""
    if is_api_path(request.path):
        return False
    return request.accept_mimetypes.best_match([MEDIA_TYPE, "application/json", "text/html"]) == "text/html"


def is_transient(error: Exception) -> bool:
    """Return whether the database may answer at the next try."""
    match error:
        case OperationalError() | InterfaceError() | PoolTimeoutError():
            return True
        case DBAPIError():
            # READ_ONLY: the server is a standby for the moment, and another one is about to take over.
            return error.connection_invalidated or getattr(error.orig, "sqlstate", None) == READ_ONLY
        case _:
            return False


def _json(problem: Problem) -> str:
    return json.dumps(problem.document(_request_id()))


def _page(problem: Problem) -> str:
    try:
        return render_template("problem.html", problem=problem, request_id=_request_id())
    except TemplateNotFound:
        pass
    except Exception:
        log.exception("problem.page_failed")
    return FALLBACK_PAGE.format(
        title=escape(problem.title), detail=escape(problem.detail), code=problem.code, request_id=escape(_request_id())
    )


def _request_id() -> str:
    return str(g.get("request_id", ""))


def _http(error: HTTPException) -> AnyResponse | HTTPException:
    if error.response is not None:
        return error.response
    # Werkzeug raises redirects as well.
    if error.code is None or error.code < HTTPStatus.BAD_REQUEST:
        return error
    if mistake := _json_error(error):
        return respond(Problem(400, "MALFORMED_JSON", f"The body isn't valid JSON: {mistake}."))
    headers = {name: value for name, value in error.get_headers() if name.lower() != "content-type"}
    return respond(Problem(error.code, _code(error.code), _sentence(error), headers=headers))


def _json_error(error: BaseException | None) -> str:
    """Return the decoder's message; Flask wraps it in two exceptions of its own."""
    if error is None or isinstance(error, MalformedJSON):
        return str(error or "")
    return _json_error(error.__cause__ or error.__context__)


def _code(status: int) -> str:
    return RENAMED_STATUSES.get(status) or HTTPStatus(status).name


def _sentence(error: HTTPException) -> str:
    match error.code:
        case 404:
            return f"There is nothing at {request.path}; check the address."
        case 405:
            return f"{request.method} isn't possible at {request.path}; the Allow header lists what is."
        case 413:
            return "The body is larger than this address accepts; send less at a time."
        case 415:
            return f"The body is {request.mimetype or 'of no stated type'}; send application/json."
        case _:
            return error.description or HTTPStatus(error.code or 500).phrase


def _invalid(error: ValidationError) -> Response:
    """Names each field and what is wrong with it; the values stay out, for some of them are secrets."""
    mistakes = error.errors(include_url=False, include_context=False, include_input=False)
    fields = [{"field": ".".join(map(str, each["loc"])) or "body", "message": each["msg"]} for each in mistakes]
    first = "; ".join(f"{each['field']}: {each['message']}" for each in fields[:3])
    return respond(Problem(422, "INVALID_BODY", f"The request can't be used. {first}.", errors=fields))


def _database(error: DBAPIError | PoolTimeoutError) -> Response:
    if isinstance(error, DataError):
        log.warning("database.refused_value", cause=type(error.orig).__name__)
        detail = "The request holds a value that can't be stored, such as a NUL character or too large a number."
        return respond(Problem(422, "UNSTORABLE_VALUE", detail))
    if not is_transient(error):
        return _unexpected(error)
    cause = errors.outage_of(error) if isinstance(error, PoolTimeoutError) else str(getattr(error, "orig", error))
    log.error("database.unavailable", error=type(error).__name__, cause=cause.strip())
    detail = f"The database can't answer at the moment. Try again in {RETRY_SECONDS} seconds."
    return respond(Problem(503, "DATABASE_UNAVAILABLE", detail, headers={"Retry-After": str(RETRY_SECONDS)}))


def _unexpected(error: Exception) -> Response:
    log.error("request.failed", error=type(error).__name__, exc_info=error)
    detail = "Something went wrong on our side and was logged. Quote the request id when you report it."
    return respond(Problem(500, "INTERNAL_ERROR", detail))
