"""Answers on their way out: whole ones at once, streams piece by piece."""

import json
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from granian._granian import RSGIProtocolClosed as ProtocolClosed

from control_plane.gateway.slow_readers import StreamReader
from control_plane.platform.problems import MEDIA_TYPE, Problem

Headers = list[tuple[str, str]]
Write = Callable[[bytes], object]

EVENT_STREAM = "text/event-stream"


class Sender(Protocol):
    """Granian's side of a response."""

    def response_bytes(self, status: int, headers: Headers, body: bytes) -> None:
        """Send a whole answer."""

    def response_stream(self, status: int, headers: Headers) -> Any:
        """Begin an answer that is sent by pieces."""


class StartResponse:
    """The application's `start_response`: it stores the status and the headers."""

    __slots__ = ("headers", "status")

    def __init__(self) -> None:
        self.status = 500
        self.headers: Headers = []

    def __call__(self, status: str, headers: Headers, _exc_info: object = None, /) -> Write:
        """Keep both until there is something to send."""
        self.status = int(status[:3])
        self.headers = headers
        return _write

    @property
    def is_event_stream(self) -> bool:
        """Return whether the answer is a stream that stays open; the application caps their number."""
        return any(name.lower() == "content-type" and value.startswith(EVENT_STREAM) for name, value in self.headers)


def answer(sender: Sender, start: StartResponse, pieces: Iterable[bytes], reader: StreamReader) -> None:
    """Send an answer of the application: whole, unless it doesn't know its length yet."""
    try:
        if isinstance(pieces, list) or any(name.lower() == "content-length" for name, _ in start.headers):
            sender.response_bytes(start.status, start.headers, b"".join(pieces))
        else:
            _stream(sender, start, pieces, reader)
    finally:
        close = getattr(pieces, "close", None)
        if close is not None:
            close()


def refuse(sender: Sender, problem: Problem) -> None:
    """Answer a request that the application never sees, and close its connection."""
    headers = [("Content-Type", MEDIA_TYPE), ("Connection", "close"), *problem.headers.items()]
    sender.response_bytes(problem.status, headers, json.dumps(problem.document()).encode())


def _write(_data: bytes) -> None:
    """Refuse the way of sending that PEP 3333 keeps for frameworks older than itself."""
    raise NotImplementedError("Return the body instead.")


def _stream(sender: Sender, start: StartResponse, pieces: Iterable[bytes], reader: StreamReader) -> None:
    transport = sender.response_stream(start.status, start.headers)
    for piece in pieces:
        if not reader.keeps_up(len(piece)):
            return
        try:
            for _ in transport.send_bytes(piece):
                pass  # an awaitable that has nothing to wait for
        except ProtocolClosed:
            return
