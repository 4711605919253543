"""Clients that send or read slowly keep no one waiting but themselves."""

import json
from http import HTTPStatus
from pathlib import Path

import pytest

from control_plane.experiments.credits import FLAG
from tests.control_plane.gateway.conftest import RunningServer, read, running_server

pytestmark = pytest.mark.faults

FORM = b"POST /sign-in HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
UNFINISHED = {
    "a length that is never reached": FORM + b"Content-Length: 1000\r\n\r\nuser",
    "a length and no byte": FORM + b"Content-Length: 10\r\n\r\n",
    "a long body by pieces": FORM + b"Content-Length: 900000\r\n\r\n" + b"x" * 100_000,
    "chunks without an end": FORM + b"Transfer-Encoding: chunked\r\n\r\n4\r\nuser\r\n",
    "a promise to send": FORM + b"Content-Length: 9\r\nExpect: 100-continue\r\n\r\n",
    "another request first": b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" + FORM + b"Content-Length: 9\r\n\r\nu",
    "a body where none is asked for": b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n",
    "headers without an end": b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-",
}


def request(method: str, path: str, token: str = "", document: object = None) -> bytes:
    """Return a whole request, after which the server closes."""
    body = b"" if document is None else json.dumps(document).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: x", "Connection: close"]
    lines += [f"Authorization: {token}"] if token else []
    lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"] if body else []
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def answers_everybody(server: RunningServer) -> None:
    """Look at the server's life, take a credit and ask for a flag."""
    status, _ = server.answer(request("GET", "/healthz"))
    assert status == HTTPStatus.OK
    operation = {"userId": "u-1", "creditType": "analysis", "amount": 1, "idempotencyKey": "k"}
    status, body = server.answer(request("POST", "/api/credits/consume", server.tokens["service"], operation))
    assert status == HTTPStatus.OK, body
    context = {"context": {"targetingKey": "u-1"}}
    status, body = server.answer(request("POST", f"/ofrep/v1/evaluate/flags/{FLAG}", server.tokens["client"], context))
    assert status == HTTPStatus.OK, body


@pytest.mark.parametrize("words", UNFINISHED.values(), ids=UNFINISHED.keys())
def test_what_is_unfinished_holds_up_nobody(server: RunningServer, words: bytes) -> None:
    for _ in range(40):
        server.say(words)
    answers_everybody(server)


def test_three_hundred_unfinished_bodies_hold_up_nobody(tmp_path: Path) -> None:
    with running_server(tmp_path, REQUEST_BODY_SECONDS="30") as server:
        for _ in range(300):
            server.say(UNFINISHED["a length that is never reached"])
        answers_everybody(server)


def test_readers_who_take_nothing_hold_up_nobody(server: RunningServer) -> None:
    for _ in range(20):
        server.say(request("GET", "/api/client/features", server.tokens["client"]) * 200)
    answers_everybody(server)


def test_a_late_body_is_refused_in_words_and_its_connection_ends(server: RunningServer) -> None:
    late = server.say(UNFINISHED["a length that is never reached"])
    status, body = read(late)
    assert status == HTTPStatus.REQUEST_TIMEOUT
    assert json.loads(body)["code"] == "REQUEST_TIMEOUT"


def test_a_body_that_comes_slowly_and_in_time_is_taken_whole(server: RunningServer) -> None:
    context = json.dumps({"context": {"targetingKey": "u-1"}, "pad": "x" * 80_000}).encode()
    head = f"POST /ofrep/v1/evaluate/flags/{FLAG} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    head += f"Content-Type: application/json\r\nAuthorization: {server.tokens['client']}\r\n"
    for framing, body in (
        (f"Content-Length: {len(context)}\r\n\r\n", context),
        ("Transfer-Encoding: chunked\r\n\r\n", f"{len(context):x}\r\n".encode() + context + b"\r\n0\r\n\r\n"),
    ):
        connection = server.say((head + framing).encode())
        for start in range(0, len(body), 20_000):
            connection.sendall(body[start : start + 20_000])
        status, document = read(connection)
        assert (status, json.loads(document)["key"]) == (HTTPStatus.OK, FLAG)


def test_a_body_that_is_too_long_is_refused_however_it_is_sent(server: RunningServer) -> None:
    head = b"POST /sign-in HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAccept: application/json\r\n"
    long = b"x" * (1024 * 1024 + 1)
    for framing in (
        b"Content-Length: %d\r\n\r\n" % len(long),
        b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(long) + long + b"\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 3_000,
    ):
        status, _ = server.answer(head + framing)
        assert status in (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.FORBIDDEN)


def test_a_body_that_breaks_off_reaches_nobody(server: RunningServer) -> None:
    for words in ("a length that is never reached", "chunks without an end", "a long body by pieces"):
        connection = server.say(UNFINISHED[words])
        connection.shutdown(1)
        connection.close()
    answers_everybody(server)
    assert "Traceback" not in server.served.log.read_text()
