"""A server that sends the same bytes to whoever asks, HTTP or not, and hangs up."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
UNREADABLE = {
    "no HTTP": b"SSH-2.0-OpenSSH\r\n",
    "nothing": b"",
    "no JSON": OK + b"\r\n<html>",
    "broken off": OK + b"Content-Length: 900\r\n\r\n{}",
    "a chunk broken off": OK + b"Transfer-Encoding: chunked\r\n\r\n20\r\ndata: {",
    "nested without end": OK + b"\r\n" + b"[" * 50_000,
}
"""Answers from which nothing can be learnt."""


def with_body(body: bytes) -> bytes:
    """Return a whole answer with this body."""
    return OK + b"Content-Length: %d\r\n\r\n" % len(body) + body


@contextmanager
def answering(words: bytes) -> Iterator[str]:
    """Yield the address of a server that answers each request with `words`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_serve, args=[listener, words], daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def _serve(listener: socket.socket, words: bytes) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            connection.recv(65_536)
            connection.sendall(words)
