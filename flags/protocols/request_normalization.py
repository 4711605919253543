"""Requests of SDKs in the one form that is read here: without a slash at the end, their bodies as plain text."""

import zlib
from io import BytesIO
from typing import Any

from flags.protocols.raw_response import JSON, RawResponse
from flags.unleash.feature_payload import encode

Environ = dict[str, Any]

WITHOUT_SLASH = ("/api/client/", "/api/frontend/", "/edge/", "/ofrep/v1/")
WITH_BODIES = ("/api/client/", "/api/frontend", "/edge/", "/ofrep/v1/")
OFREP = "/ofrep/"
OFREP_FLAG = "/ofrep/v1/evaluate/flags/"
BODY_BYTES_MAX = 1024 * 1024
"""What a body may be once it is unpacked, which is what it may be anyway: a small one can't become a large one."""
GZIP = zlib.MAX_WBITS | 16
IDENTITY = ("", "identity")


class UnreadableBody(Exception):  # noqa: N818 - named after what it is about
    """A body that can't be unpacked: the status of its refusal, and a sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def normalize(environ: Environ) -> RawResponse | None:
    """Rewrite the request in place; return a refusal of a body that can't be unpacked."""
    path: str = environ["PATH_INFO"]
    if path.endswith("/") and path.startswith(WITHOUT_SLASH):
        environ["PATH_INFO"] = path[:-1]
    encoding = environ.get("HTTP_CONTENT_ENCODING", "").strip().lower()
    if encoding not in IDENTITY and path.startswith(WITH_BODIES):
        try:
            _unpack(environ, encoding)
        except UnreadableBody as unreadable:
            return _refusal(path, unreadable)
    return None


def _unpack(environ: Environ, encoding: str) -> None:
    if encoding not in ("gzip", "x-gzip"):
        raise UnreadableBody(415, f"A body is sent plain or in gzip, not in {encoding[:20]!r}.")
    length = environ.get("CONTENT_LENGTH") or "0"
    if not length.isdecimal() or int(length) > BODY_BYTES_MAX:
        raise UnreadableBody(413, f"A body has up to {BODY_BYTES_MAX:,} bytes, and says how many.")
    unpacking = zlib.decompressobj(GZIP)
    try:
        body = unpacking.decompress(environ["wsgi.input"].read(int(length)), BODY_BYTES_MAX + 1)
    except zlib.error as error:
        raise UnreadableBody(400, "The body isn't valid gzip.") from error
    if len(body) > BODY_BYTES_MAX:
        raise UnreadableBody(413, f"A body has up to {BODY_BYTES_MAX:,} bytes once it is unpacked.")
    if not unpacking.eof:
        raise UnreadableBody(400, "The body isn't valid gzip: it ends too early.")
    environ["wsgi.input"], environ["CONTENT_LENGTH"] = BytesIO(body), str(len(body))
    del environ["HTTP_CONTENT_ENCODING"]


def _refusal(path: str, unreadable: UnreadableBody) -> RawResponse:
    """Return the refusal as the protocol has it: Unleash's, or OFREP's, of one flag or of all."""
    message = str(unreadable)
    document: dict[str, object] = {"name": "BadDataError", "message": message, "details": [{"message": message}]}
    if path.startswith(OFREP):
        _, _, key = path.partition(OFREP_FLAG)
        document = {**({"key": key} if key else {}), "errorCode": "PARSE_ERROR", "errorDetails": message}
    body = encode(document)
    return RawResponse(unreadable.status, (("Content-Type", JSON), ("Content-Length", str(len(body)))), body)
