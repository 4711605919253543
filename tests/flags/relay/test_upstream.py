"""What a relay says of an upstream that it can't ask, or whose answer it can't read."""

import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from control_plane.platform.problems import Problem
from flags.relay.tokens import RelayTokens
from flags.relay.upstream import Upstream, UpstreamError

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
UNREADABLE = {
    "no HTTP": b"SSH-2.0-OpenSSH\r\n",
    "nothing": b"",
    "no JSON": OK + b"\r\n<html>",
    "broken off": OK + b"Content-Length: 900\r\n\r\n{}",
    "a chunk broken off": OK + b"Transfer-Encoding: chunked\r\n\r\n20\r\ndata: {",
}
ASK: dict[str, Callable[[Upstream], object]] = {
    "poll": lambda upstream: upstream.poll("*:production.x", ""),
    "validate": lambda upstream: upstream.validate(["*:production.x"]),
}


@pytest.fixture
def answering() -> Iterator[Callable[[bytes], Upstream]]:
    """`answering(b"…")` is an upstream that sends these bytes for each request, and hangs up."""
    listeners: list[socket.socket] = []

    def serve(listener: socket.socket, words: bytes) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65_536)
                connection.sendall(words)

    def answering(words: bytes) -> Upstream:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        threading.Thread(target=serve, args=[listener, words], daemon=True).start()
        return Upstream(f"http://127.0.0.1:{listener.getsockname()[1]}")

    yield answering
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@pytest.mark.parametrize("words", UNREADABLE.values(), ids=UNREADABLE.keys())
@pytest.mark.parametrize("ask", ASK.values(), ids=ASK.keys())
def test_an_answer_that_can_not_be_read_is_no_answer(
    answering: Callable[[bytes], Upstream], ask: Callable[[Upstream], object], words: bytes
) -> None:
    with pytest.raises(UpstreamError):
        ask(answering(words))


@pytest.mark.parametrize("name", ["no HTTP", "nothing", "a chunk broken off"])
def test_a_stream_that_is_none_or_breaks_off_is_said_to_be_broken(
    answering: Callable[[bytes], Upstream], name: str
) -> None:
    with pytest.raises(UpstreamError):
        list(answering(UNREADABLE[name]).follow("*:production.x", None))


@pytest.mark.parametrize("name", ["no HTTP", "nothing", "broken off", "a chunk broken off"])
def test_results_whose_answer_can_not_be_read_are_not_known_to_be_taken(
    answering: Callable[[bytes], Upstream], name: str
) -> None:
    with pytest.raises(UpstreamError):
        answering(UNREADABLE[name]).forward("/api/experiments/F/results", "Bearer x", b"{}")


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"tokens": 7}', b'{"tokens": [7]}', b'{"tokens": [{"token": []}]}'])
def test_a_token_about_which_nonsense_was_answered_is_not_called_wrong(
    answering: Callable[[bytes], Upstream], tmp_path: Path, body: bytes
) -> None:
    upstream = answering(OK + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    with pytest.raises(Problem) as refused:
        RelayTokens(upstream, tmp_path / "tokens.json").check("*:production.x", datetime.now(UTC))
    assert refused.value.status == 503


@pytest.mark.parametrize("token", ["*:production.secret\n", "*:production.secret\nX-More: 1", "*:production.secret…"])
def test_a_token_that_no_header_takes_is_not_repeated(token: str) -> None:
    with pytest.raises(UpstreamError, match="can't be sent") as refused:
        Upstream("http://127.0.0.1:9").poll(token, "")
    assert "secret" not in str(refused.value)
    assert refused.value.__suppress_context__
