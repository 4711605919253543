"""Requests to a server's own API with a caller's token; what it refuses is raised in its own sentence."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import requests

from control_plane.strict_json import MalformedJSON, loads

TIMEOUT_SECONDS = 20.0
ANSWER_BYTES_MAX = 2_000_000
CHUNK_BYTES = 65_536
MAYBE_DONE = "It may have been done all the same: read the rollout before you try again."
ELSEWHERE = (".", "..")
"""Parts of an address that lead to another one, however they are written."""
REFUSED = range(400, 500)
"""What a server answers that did nothing."""
DETAIL_MAX = 2000
"""So much is told of an answer that is no document of ours."""


class RefusedByServer(RuntimeError):  # noqa: N818 - what happened to the request
    """The server did not do what was asked; the message says why, in its words where it gave any."""


class APIClient:
    """The API at `url`, opened by `token`."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/")
        self._host = urlsplit(url).hostname or url
        self._session = requests.Session()
        # As an object: a header would give way to what a .netrc says of this host.
        self._session.auth = _Bearer(token)

    def get(self, *path: str, **query: str | int | None) -> dict[str, Any]:
        """Return the document at this path. Raises RefusedByServer."""
        known = {name: str(value) for name, value in query.items() if value not in (None, "")}
        return self._request("GET", path, params=known)

    def post(self, *path: str, **body: object) -> dict[str, object]:
        """Ask for a change, and give what became of it. Raises RefusedByServer."""
        return self._request("POST", path, json=body)

    def _request(self, method: str, path: tuple[str, ...], **options: Any) -> dict[str, Any]:
        if any(part in ELSEWHERE for part in path):
            raise RefusedByServer("No flag is called so: an address with that name would be another one's.")
        address = "/".join((self._url, "api", *(quote(part, safe="") for part in path)))
        unsure = "" if method == "GET" else f" {MAYBE_DONE}"
        try:
            # A redirect would take the token to whoever is named in it.
            with self._session.request(
                method, address, timeout=TIMEOUT_SECONDS, allow_redirects=False, stream=True, **options
            ) as answer:
                return _document(answer, self._host, unsure)
        except requests.RequestException as error:
            raise RefusedByServer(f"{self._host} gave no answer ({type(error).__name__}).{unsure}") from error
        except ValueError as error:
            # What can't be written into a request: the error repeats it, and it may be the token.
            raise RefusedByServer(f"The request could not be written ({type(error).__name__}).") from None


class _Bearer(requests.auth.AuthBase):
    """The token in the header that the server reads."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _document(answer: requests.Response, host: str, unsure: str) -> dict[str, object]:
    body = b""
    for chunk in answer.iter_content(CHUNK_BYTES):
        body += chunk
        if len(body) > ANSWER_BYTES_MAX:
            raise RefusedByServer("The answer is longer than an assistant can use; ask for less." + unsure)
    try:
        found = loads(body)
    except MalformedJSON:
        found = None
    if answer.ok and isinstance(found, dict):
        return found
    raise RefusedByServer(
        _sentence(answer.status_code, found, host) + ("" if answer.status_code in REFUSED else unsure)
    )


def _sentence(status: int, found: object, host: str) -> str:
    problem: Mapping[str, object] = found if isinstance(found, dict) else {}
    if isinstance(problem.get("detail"), str):
        return f"{problem.get('code', status)}: {problem['detail']}"[:DETAIL_MAX]
    return f"{host} answered {status}, and nothing that this program can read. Is the address that of a rollout server?"
