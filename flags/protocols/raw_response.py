"""An answer as bytes, the same whether a view gives it or it is given before Flask is asked."""

from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus

from flask import Response
from werkzeug.datastructures import Accept
from werkzeug.http import parse_accept_header

from flags.client_features.prepared_payloads import ENCODINGS, Payload
from flags.client_features.refresher import feature_provider
from flags.usage.connections import Headers

JSON = "application/json"
STALE_HEADER = "Rollout-Stale-Seconds"
VARY = ("Vary", "Accept-Encoding")
BYTES_MIN = 4096
"""Less than this leaves in the first packets either way."""
OK = 200


@dataclass(frozen=True, slots=True)
class RawResponse:
    """A status, headers and a body, ready to be sent."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""

    @property
    def line(self) -> str:
        """The status as WSGI wants it."""
        return f"{self.status} {HTTPStatus(self.status).phrase}"


def not_modified_or(payload: Payload, if_none_match: str | None, *extra: tuple[str, str]) -> RawResponse:
    """Return the payload, or 304 for a caller who has it."""
    headers = (("ETag", payload.etag), ("Cache-Control", "no-cache"), *extra)
    if if_none_match and matches(if_none_match, payload.etag):
        return RawResponse(304, headers)
    length = str(len(payload.body))
    return RawResponse(200, (*headers, ("Content-Type", JSON), ("Content-Length", length)), payload.body)


def compressed_or(payload: Payload, headers: Headers, *extra: tuple[str, str]) -> RawResponse:
    """Return the payload as small as the caller takes it, compressed once for all; or 304 for one who has it."""
    plain = not_modified_or(payload, headers.get("If-None-Match"), *extra, VARY)
    encoding = _encoding(headers.get("Accept-Encoding"))
    if plain.status != OK or len(payload.body) < BYTES_MIN or not encoding:
        return plain
    body = payload.compressed(encoding)
    # The tag is weak: these are other bytes of the same content.
    tagged = (("ETag", f"W/{payload.etag}"), ("Cache-Control", "no-cache"), *extra, VARY)
    kind = (("Content-Type", JSON), ("Content-Encoding", encoding), ("Content-Length", str(len(body))))
    return RawResponse(OK, (*tagged, *kind), body)


def staleness() -> tuple[tuple[str, str], ...]:
    """Return the header that says for how long the database has not confirmed what is served; none while it does."""
    seconds = feature_provider().stale_seconds
    return ((STALE_HEADER, str(int(seconds))),) if seconds else ()


def matches(if_none_match: str, etag: str) -> bool:
    """Return whether the caller's tags include this one. Weak ones count: proxies that compress weaken tags."""
    if if_none_match == etag:
        return True
    tags = (tag.strip().removeprefix("W/") for tag in if_none_match.split(","))
    return any(tag in ("*", etag) for tag in tags)


def response(reply: RawResponse) -> Response:
    """Return the reply as Flask wants it."""
    return Response(reply.body, reply.status, reply.headers)


@lru_cache(maxsize=256)
def _encoding(accept_encoding: str | None) -> str:
    """Return the encoding that the caller likes best, of equals the smaller; empty for none."""
    accepted = parse_accept_header(accept_encoding, Accept)
    liked = {name: float(accepted[name]) for name in ENCODINGS}
    best = max(liked, key=lambda name: liked[name])
    return best if liked[best] > 0 else ""
