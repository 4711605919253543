"""Requests of SDKs in the one form that is read here: without a slash at the end, their bodies as plain text."""

import zlib
from io import BytesIO
from typing import Any

from flags.protocols.raw_response import JSON, RawResponse
from flags.unleash.feature_payload import encode

Environ = dict[str, Any]

WITHOUT_SLASH = ("/api/client/", "/api/frontend/", "/edge/", "/ofrep/v1/")
WITH_BODIES = ("/api/client/", "/api/frontend", "/edge/", "/ofrep/v1/")
BODY_BYTES_MAX = 1024 * 1024
"""What a body may be once it is unpacked, which is what it may be anyway: a small one can't become a large one."""
GZIP = zlib.MAX_WBITS | 16
IDENTITY = ("", "identity")


def normalize(environ: Environ) -> RawResponse | None:
    """Rewrite the request in place; return a refusal of a body that can't be unpacked."""
    path: str = environ["PATH_INFO"]
    if path.endswith("/") and path.startswith(WITHOUT_SLASH):
        environ["PATH_INFO"] = path[:-1]
    encoding = environ.get("HTTP_CONTENT_ENCODING", "").strip().lower()
    if encoding in IDENTITY or not path.startswith(WITH_BODIES):
        return None
    return _unpack(environ, encoding)


def _unpack(environ: Environ, encoding: str) -> RawResponse | None:
    if encoding not in ("gzip", "x-gzip"):
        return _refusal(415, f"A body is sent plain or in gzip, not in {encoding[:20]!r}.")
    length = environ.get("CONTENT_LENGTH") or "0"
    if not length.isdecimal() or int(length) > BODY_BYTES_MAX:
        return _refusal(413, f"A body has up to {BODY_BYTES_MAX:,} bytes, and says how many.")
    unpacking = zlib.decompressobj(GZIP)
    try:
        body = unpacking.decompress(environ["wsgi.input"].read(int(length)), BODY_BYTES_MAX + 1)
    except zlib.error:
        return _refusal(400, "The body isn't valid gzip.")
    if len(body) > BODY_BYTES_MAX:
        return _refusal(413, f"A body has up to {BODY_BYTES_MAX:,} bytes once it is unpacked.")
    if not unpacking.eof:
        return _refusal(400, "The body isn't valid gzip: it ends too early.")
    environ["wsgi.input"], environ["CONTENT_LENGTH"] = BytesIO(body), str(len(body))
    del environ["HTTP_CONTENT_ENCODING"]
    return None


def _refusal(status: int, message: str) -> RawResponse:
    body = encode({"name": "BadDataError", "message": message, "details": [{"message": message}]})
    return RawResponse(status, (("Content-Type", JSON), ("Content-Length", str(len(body)))), body)
