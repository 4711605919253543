"""Headers that pass for another's, and requests that break HTTP."""

import json
from http import HTTPStatus
from itertools import permutations

import pytest

from tests.control_plane.gateway.conftest import RunningServer

FAILED_SIGN_IN = b"username=nobody&password=wrong"
TRIES_MAX = 10


def sign_in(server: RunningServer, *headers: str) -> int:
    """Try to sign in as nobody, with these headers besides."""
    lines = ["POST /sign-in HTTP/1.1", "Host: x", "Connection: close", "Accept: application/json", *headers]
    lines += ["Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(FAILED_SIGN_IN)}"]
    return server.answer("\r\n".join(lines).encode() + b"\r\n\r\n" + FAILED_SIGN_IN)[0]


@pytest.mark.parametrize(
    ("name", "proxys"),
    [
        ("X_Forwarded_For", "X-Forwarded-For: 203.0.113.1"),
        ("X-Forwarded_For", "X-Forwarded-For: 203.0.113.2"),
        ("x_forwarded-for", "X-Forwarded-For: 203.0.113.3"),
    ],
)
def test_a_made_up_address_changes_nothing_wherever_it_stands(server: RunningServer, name: str, proxys: str) -> None:
    seen = list[int]()
    for number in range(TRIES_MAX):
        made_up = f"{name}: 198.51.100.{number}"
        seen.extend(sign_in(server, *headers) for headers in permutations((proxys, made_up)))
    assert HTTPStatus.UNAUTHORIZED in seen
    assert seen[TRIES_MAX:] == [HTTPStatus.TOO_MANY_REQUESTS] * TRIES_MAX


def test_what_a_client_puts_before_the_proxys_address_changes_nothing(server: RunningServer) -> None:
    seen = [sign_in(server, f"X-Forwarded-For: 198.51.100.{number}, 203.0.113.200") for number in range(TRIES_MAX + 1)]
    assert seen[-1] == HTTPStatus.TOO_MANY_REQUESTS


def test_a_token_under_a_made_up_name_opens_nothing(server: RunningServer) -> None:
    path = b"GET /api/client/features HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    token = server.tokens["client"].encode()
    assert server.answer(path + b"X-Api-Key: " + token + b"\r\n\r\n")[0] == HTTPStatus.OK
    assert server.answer(path + b"X_Api_Key: " + token + b"\r\n\r\n")[0] == HTTPStatus.UNAUTHORIZED


@pytest.mark.parametrize(
    "words",
    [
        b"GET /healthz HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost:\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        b"POST /sign-in HTTP/1.1\r\nContent-Length: 10\r\n\r\n",
    ],
)
def test_a_request_to_no_host_or_to_two_is_refused(server: RunningServer, words: bytes) -> None:
    status, body = server.answer(words)
    assert (status, json.loads(body)["code"]) == (HTTPStatus.BAD_REQUEST, "MALFORMED_REQUEST")


def test_http_1_0_needs_no_host(server: RunningServer) -> None:
    assert server.answer(b"GET /healthz HTTP/1.0\r\n\r\n")[0] == HTTPStatus.OK


def test_cookies_on_two_lines_are_one_list_and_addresses_keep_their_characters(server: RunningServer) -> None:
    asked = b"GET /nothing/caf%C3%A9%2Fx?a=%C3%A9&b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    status, body = server.answer(asked + b"Cookie: a=1\r\nCookie: b=2\r\nAccept: application/json\r\n\r\n")
    assert status == HTTPStatus.NOT_FOUND
    assert "/nothing/caf\u00e9/x" in json.loads(body)["detail"]
