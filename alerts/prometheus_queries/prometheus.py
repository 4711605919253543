"""One number from Prometheus' HTTP API, or a sentence that says why there is none."""

import json
import math
from http.client import HTTPException
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request

from control_plane.platform.http.no_redirects import NOT_FOLLOWED, is_redirect, open_url

TIMEOUT_SECONDS = 2.0
ANSWER_BYTES_MAX = 64 * 1024
STALE_SECONDS = 60.0


class QueryError(RuntimeError):
    """Prometheus gave no usable number; the message says why."""


def query_total(url: str, query: str, *, at: float) -> float:
    """Return the value of `query` at the instant `at` (seconds of the epoch), as the Prometheus at `url` has it.

    It is one finite number that is not negative.
    """
    document = _ask(url, query, at)
    if document.get("status") != "success":
        raise QueryError(f"Prometheus refuses the query: {document.get('error', 'no reason given')}.")
    return _number(document.get("data", {}), at)


def _ask(url: str, query: str, at: float) -> dict[str, object]:
    parameters = urlencode({"query": query, "time": at, "timeout": f"{TIMEOUT_SECONDS:g}s"})
    request = Request(f"{url.rstrip('/')}/api/v1/query?{parameters}")  # noqa: S310 - the owner's own address
    try:
        document = json.loads(_body(request))
    except URLError as error:
        raise QueryError(f"Prometheus can't be asked ({type(error.reason).__name__}).") from error
    except (OSError, HTTPException, ValueError, RecursionError) as error:
        raise QueryError(f"Prometheus gave no answer that can be read ({type(error).__name__}).") from error
    if not isinstance(document, dict):
        raise QueryError("Prometheus gave no answer that can be read.")
    return document


def _body(request: Request) -> bytes:
    """Return the body of the response, also of a refused query."""
    try:
        with open_url(request, timeout=TIMEOUT_SECONDS) as answer:
            return bytes(answer.read(ANSWER_BYTES_MAX))
    except HTTPError as refusal:
        if is_redirect(refusal.code):
            raise QueryError(f"Prometheus {NOT_FOLLOWED}.") from refusal
        return bytes(refusal.read(ANSWER_BYTES_MAX))


def _number(data: object, at: float) -> float:
    match data:
        case {"resultType": "vector", "result": []}:
            raise QueryError("The query finds no series; counters are born at 0, so the measurement is missing.")
        case {"resultType": "vector", "result": [{"value": [instant, text]}]} | {
            "resultType": "scalar",
            "result": [instant, text],
        }:
            pass
        case {"resultType": "vector", "result": list(found)}:
            raise QueryError(f"The query finds {len(found)} series; sum them up to one.")
        case _:
            raise QueryError("The query gives no instant value; leave out ranges.")
    try:
        taken_at, value = float(instant), float(text)
    except (TypeError, ValueError) as error:
        raise QueryError(f"The query gives no number, but {str(text)[:40]!r}.") from error
    if at - taken_at > STALE_SECONDS:
        raise QueryError("The value is stale.")
    if not math.isfinite(value) or value < 0:
        raise QueryError(f"The value is {text}; a count is a finite number of at least 0.")
    return value
