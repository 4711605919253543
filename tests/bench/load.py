"""A load of HTTP requests over connections that stay open, and how long each answer took."""

import selectors
import socket
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

HEAD_END = b"\r\n\r\n"
LENGTH = b"content-length:"


@dataclass(frozen=True, slots=True)
class Request:
    """One request, prepared."""

    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def encoded(self, host: str) -> bytes:
        """Return the request as it is sent."""
        length = {"Content-Length": str(len(self.body))} if self.body or self.method == "POST" else {}
        lines = [f"{self.method} {self.path} HTTP/1.1", f"Host: {host}"]
        lines += [f"{name}: {value}" for name, value in (self.headers | length).items()]
        return "\r\n".join(lines).encode() + HEAD_END + self.body


@dataclass(frozen=True, slots=True)
class Load:
    """The outcome of a load: answers a second, their statuses, and how long each took, sorted."""

    per_second: float
    statuses: frozenset[int]
    seconds: tuple[float, ...]

    def percentile(self, part: float) -> float:
        """Return the milliseconds that the fastest `part` of the answers took at most."""
        return self.seconds[min(len(self.seconds) - 1, int(len(self.seconds) * part))] * 1000


class _Connection:
    """One connection: a request goes out when the answer to the one before has come in."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sent_at = 0.0
        self._received = bytearray()
        self._missing = -1

    def send(self, request: bytes) -> None:
        self.sent_at = time.perf_counter()
        self.socket.sendall(request)

    def receive(self) -> int | None:
        """Return the status, once the whole answer is there."""
        content = self.socket.recv(262_144)
        if not content:
            raise ConnectionError("The server closed the connection.")
        if self._missing < 0:
            self._received += content
            end = self._received.find(HEAD_END)
            if end < 0:
                return None
            self._missing = _length(self._received[:end]) - (len(self._received) - end - len(HEAD_END))
        else:
            self._missing -= len(content)
        if self._missing > 0:
            return None
        status = int(self._received[9:12])
        self._received.clear()
        self._missing = -1
        return status


def load(
    url: str, requests: Sequence[Request], *, connections: int = 16, seconds: float = 3.0, per_second: float = 0.0
) -> Load:
    """Send `requests` in turn for so long: as fast as answers come, or `per_second` where that is given."""
    address = urlsplit(url)
    encoded = [request.encoded(address.netloc) for request in requests]
    open_ones = [_Connection((address.hostname or "", address.port or 80)) for _ in range(connections)]
    waiting = selectors.DefaultSelector()
    for connection in open_ones:
        waiting.register(connection.socket, selectors.EVENT_READ, connection)
    # In turn: one that is never used would be closed by the server, as any client's is.
    idle, times, statuses, sent = deque(open_ones), list[float](), set[int](), 0
    begun = time.perf_counter()
    while (now := time.perf_counter()) < begun + seconds or len(idle) < connections:
        due = (now - begun) * per_second if per_second else float("inf")
        while idle and sent < due and now < begun + seconds:
            idle.popleft().send(encoded[sent % len(encoded)])
            sent += 1
        for key, _ in waiting.select(0.0005):
            status = key.data.receive()
            if status is not None:
                times.append(time.perf_counter() - key.data.sent_at)
                statuses.add(status)
                idle.append(key.data)
    for connection in open_ones:
        connection.socket.close()
    return Load(len(times) / (time.perf_counter() - begun), frozenset(statuses), tuple(sorted(times)))


def _length(head: bytearray) -> int:
    lower = bytes(head).lower()
    place = lower.find(LENGTH)
    if place < 0:
        return 0
    return int(lower[place + len(LENGTH) :].split(b"\r\n", 1)[0])
