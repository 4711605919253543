"""Answering browsers on other sites: the flags of a frontend token may be read from anywhere."""

from flask import Response, request
from werkzeug.datastructures import Headers

ALLOWED_HEADERS = "Authorization, Content-Type, If-None-Match, X-API-Key"
METHODS = "GET, POST, OPTIONS"
PREFLIGHT_SECONDS = 86400


OPEN_TO_ALL = (
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Expose-Headers", "ETag, Retry-After, Rollout-Stale-Seconds"),
)


def cors_headers(headers: Headers) -> None:
    """Let pages of every origin read this answer and its entity tag."""
    headers.update(OPEN_TO_ALL)


def preflight() -> Response:
    """Answer a browser's preflight request."""
    response = Response(status=204)
    cors_headers(response.headers)
    requested = request.headers.get("Access-Control-Request-Headers", "")
    response.headers["Access-Control-Allow-Headers"] = requested or ALLOWED_HEADERS
    response.headers["Access-Control-Allow-Methods"] = METHODS
    response.headers["Access-Control-Max-Age"] = str(PREFLIGHT_SECONDS)
    return response
