"""The WSGI environ of PEP 3333, made of Granian's RSGI scope."""

import sys
from functools import lru_cache
from typing import Any, Protocol

Environ = dict[str, Any]

HTTP_1_0 = "1"
KNOWN_NAMES_MAX = 2_000
DROPPED = ""
BASE: Environ = {
    "GATEWAY_INTERFACE": "CGI/1.1",
    "SCRIPT_NAME": "",
    "SERVER_SOFTWARE": "Granian",
    "wsgi.errors": sys.stderr,
    "wsgi.input_terminated": True,
    "wsgi.multiprocess": False,
    "wsgi.multithread": True,
    "wsgi.run_once": False,
    "wsgi.version": (1, 0),
}
_known: dict[str, str] = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}


class Headers(Protocol):
    """The headers as they came, their names in lower case."""

    def items(self) -> list[tuple[str, str]]:
        """Return each line of the headers; values that hold anything but visible ASCII are left out."""


class Scope(Protocol):
    """A request in Granian's form."""

    client: str
    headers: Headers
    http_version: str
    method: str
    path: str
    query_string: str
    scheme: str
    server: str


class MalformedRequestError(ValueError):
    """The request breaks HTTP in a way that is refused; the message says how."""


def environ_of(scope: Scope) -> Environ:
    """Return the environ of a request, without its body. Raises MalformedRequestError.

    A header whose name holds an underscore is left out.
    """
    environ = BASE.copy()
    path = scope.path
    environ["REQUEST_METHOD"] = scope.method
    # PEP 3333: text in an environ is bytes read as Latin-1, whatever they were.
    environ["PATH_INFO"] = path if path.isascii() else path.encode().decode("latin-1")
    environ["QUERY_STRING"] = scope.query_string
    environ["wsgi.url_scheme"] = scope.scheme
    environ["SERVER_NAME"], environ["SERVER_PORT"] = _server(scope.server)
    environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = _address(scope.client)
    _add_headers(environ, scope.headers)
    is_old = scope.http_version == HTTP_1_0
    environ["SERVER_PROTOCOL"] = "HTTP/1.0" if is_old else "HTTP/1.1"
    if not is_old and not environ.get("HTTP_HOST"):
        raise MalformedRequestError("The request has no Host header; HTTP/1.1 asks for one.")
    return environ


def has_body(environ: Environ) -> bool:
    """Return whether a body follows the headers."""
    return environ.get("CONTENT_LENGTH", "0") != "0" or "HTTP_TRANSFER_ENCODING" in environ


def _add_headers(environ: Environ, headers: Headers) -> None:
    for name, value in headers.items():
        key = _known.get(name) or _key(name)
        if key in environ:
            environ[key] = _joined(key, environ[key], value)
        elif key is not DROPPED:
            environ[key] = value


def _joined(key: str, first: str, second: str) -> str:
    match key:
        case "HTTP_HOST":
            raise MalformedRequestError("The request has more than one Host header.")
        case "HTTP_COOKIE":
            return f"{first};{second}"
        case _:
            return f"{first},{second}"


def _key(name: str) -> str:
    # WSGI spells `X-Forwarded-For` and `X_Forwarded_For` alike, so one that a client made up would pass for the one
    # that a proxy in front of us writes.
    if "_" in name:
        return DROPPED
    key = "HTTP_" + name.upper().replace("-", "_")
    if len(_known) < KNOWN_NAMES_MAX:
        _known[name] = key
    return key


def _address(text: str) -> tuple[str, str]:
    host, _, port = text.rpartition(":")
    return host.strip("[]"), port


_server = lru_cache(maxsize=16)(_address)
