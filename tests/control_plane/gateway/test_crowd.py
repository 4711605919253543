"""A crowd that signs in at once: few are heard, the rest are told to come back, and everybody else is served."""

from http import HTTPStatus

import pytest

from tests.control_plane.gateway.conftest import RunningServer, read

pytestmark = pytest.mark.faults

BODY = b"username=nobody&password=a+wrong+password"
SIGN_IN = (
    b"POST /sign-in HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Forwarded-For: 192.0.2.77\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n"
) % len(BODY)


def test_no_more_guesses_are_heard_than_one_address_may_make(server: RunningServer) -> None:
    crowd = [server.say(SIGN_IN + BODY) for _ in range(60)]
    assert server.answer(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")[0] == HTTPStatus.OK
    statuses = [read(each)[0] for each in crowd]
    assert 1 <= statuses.count(HTTPStatus.UNAUTHORIZED) <= 10
    refused = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
    assert set(statuses) - {HTTPStatus.UNAUTHORIZED} <= refused
