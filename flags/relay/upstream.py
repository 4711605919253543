"""Talking to the server that a relay stands in front of: ours, or Unleash's own."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request

from control_plane.platform.http.no_redirects import NOT_FOLLOWED, is_redirect, open_url

SPECIFICATION = "6.1.0"
APP_NAME = "rollout-relay"
SILENCE_SECONDS = 35.0
"""A stream that says nothing for so long is dead; every server sends comments more often."""
ANSWER_SECONDS = 10.0


class UpstreamError(RuntimeError):
    """Upstream gave no useful answer; the message says which. `status` is 0 where it gave none at all."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event; one without a document only says that the stream is alive."""

    id: str = ""
    document: Any = None


@dataclass(frozen=True, slots=True)
class Poll:
    """The result of `GET /api/client/features`; the document is None where nothing had changed."""

    etag: str
    document: Any


@dataclass(frozen=True, slots=True)
class Answer:
    """What upstream answered to a request that was passed on."""

    status: int
    body: bytes
    content_type: str
    retry_after: str | None


class Upstream:
    """A server by its address."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/").removesuffix("/api")

    def follow(self, token: str, last_id: str | None) -> Iterator[Event]:
        """Yield the events of the stream from there on, until it ends. Raises UpstreamError."""
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_id} if last_id else {})
        with self._open("GET", "/api/client/streaming", token, headers=headers, seconds=SILENCE_SECONDS) as answer:
            yield from _events(answer)

    def poll(self, token: str, etag: str) -> Poll:
        """Return the flags, if they are other than those with this entity tag. Raises UpstreamError."""
        headers = {"If-None-Match": etag} if etag else {}
        try:
            with self._open("GET", "/api/client/features", token, headers=headers) as answer, _reading():
                return Poll(answer.headers.get("ETag", ""), json.load(answer))
        except UpstreamError as error:
            if error.status == HTTPStatus.NOT_MODIFIED:
                return Poll(etag, None)
            raise

    def validate(self, tokens: list[str]) -> list[dict[str, object]]:
        """Return those of the tokens that open something, each with type and environment. Raises UpstreamError."""
        with self._open("POST", "/edge/validate", "", body={"tokens": tokens}) as answer, _reading():
            found: list[dict[str, object]] = json.load(answer)["tokens"]
            return found

    def report(self, token: str, body: dict[str, Any]) -> None:
        """Hand over what the instances behind the relay reported. Raises UpstreamError."""
        with self._open("POST", "/api/client/metrics/bulk", token, body=body):
            pass

    def forward(self, path: str, authorization: str, content: bytes) -> Answer:
        """Pass on a JSON body as it came; returns the answer, whatever it is. Raises UpstreamError without one."""
        headers = {"Content-Type": "application/json", "Authorization": authorization}
        request = Request(self.url + path, content, headers, method="POST")  # noqa: S310 - the operator's own address
        try:
            with self._ask(request, ANSWER_SECONDS) as answer:
                return _answer(answer.status, answer)
        except HTTPError as error:
            with error:
                return _answer(error.code, error)

    def _open(
        self,
        method: str,
        path: str,
        token: str,
        *,
        headers: dict[str, str] | None = None,
        body: dict[str, object] | None = None,
        seconds: float = ANSWER_SECONDS,
    ) -> HTTPResponse:
        said = {"Unleash-Client-Spec": SPECIFICATION, "unleash-appname": APP_NAME, "Content-Type": "application/json"}
        permission = {"Authorization": token} if token else {}
        content = None if body is None else json.dumps(body).encode()
        request = Request(  # noqa: S310 - the operator's own address
            self.url + path, content, {**said, **permission, **(headers or {})}, method=method
        )
        try:
            return self._ask(request, seconds)
        except HTTPError as error:
            raise UpstreamError(f"{path} answered {error.code}.", error.code) from error

    def _ask(self, request: Request, seconds: float) -> HTTPResponse:
        """Open the response; raises UpstreamError where there is none, and HTTPError for a refusal."""
        path = request.selector
        try:
            response: HTTPResponse = open_url(request, timeout=seconds)
        except HTTPError as error:
            if is_redirect(error.code):
                raise UpstreamError(f"{self.url} {NOT_FOLLOWED}.", error.code) from error
            raise
        except (OSError, HTTPException) as error:
            raise UpstreamError(f"{path} can't be reached: {error}.") from error
        except ValueError:
            # What can't be written into a request: the error repeats it, and it may be the token.
            raise UpstreamError(f"{path} can't be asked: the address or the token can't be sent.") from None
        return response


@contextmanager
def _reading() -> Iterator[None]:
    """Raise UpstreamError for an answer that breaks off, or is not what such an answer is."""
    try:
        yield
    except (OSError, HTTPException, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UpstreamError(f"The answer can't be read: {type(error).__name__}: {error}.") from error


def _answer(status: int, response: HTTPResponse | HTTPError) -> Answer:
    headers = response.headers
    with _reading():
        return Answer(status, response.read(), headers.get("Content-Type", ""), headers.get("Retry-After"))


def _events(lines: Iterable[bytes]) -> Iterator[Event]:
    fields: dict[str, str] = {}
    try:
        for line in lines:
            name, colon, value = line.decode().rstrip("\r\n").partition(":")
            # The grammar of server-sent events: a field, a comment (a line that begins with a colon), or an empty line,
            # which ends an event.
            if name:
                fields[name] = value.removeprefix(" ")
            elif colon:
                yield Event()
            elif fields.get("data"):
                yield Event(fields.get("id", ""), json.loads(fields["data"]))
                fields = {}
    except (OSError, HTTPException, ValueError, RecursionError) as error:
        raise UpstreamError(f"The stream broke: {error}.") from error
