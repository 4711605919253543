"""Streams that stay open, beside requests: they hold none of the server's threads, however many they are."""

import time
from http import HTTPStatus
from pathlib import Path

import pytest

from tests.control_plane.gateway.conftest import RunningServer, read, running_server
from tests.control_plane.gateway.test_slow_clients import answers_everybody, request

pytestmark = pytest.mark.faults

STREAMS = 12


def opened(server: RunningServer) -> list[bytes]:
    """Return the beginning of as many streams as the server takes, each of which stays open."""
    words = request("GET", "/api/client/streaming", server.tokens["client"])
    return [connection.recv(65_536) for connection in [server.say(words) for _ in range(STREAMS)]]


def test_more_streams_than_threads_stay_open_and_requests_are_answered(tmp_path: Path) -> None:
    with running_server(tmp_path, THREADS="4", STREAMS=str(STREAMS)) as server:
        assert [int(beginning[9:12]) for beginning in opened(server)] == [HTTPStatus.OK] * STREAMS
        answers_everybody(server)


def test_streams_share_one_thread(tmp_path: Path) -> None:
    with running_server(tmp_path, THREADS="4", STREAMS="100") as server:
        words = request("GET", "/api/client/streaming", server.tokens["client"])
        assert int(server.say(words).recv(65_536)[9:12]) == HTTPStatus.OK
        answers_everybody(server)
        before = server.threads()
        held = [server.say(words) for _ in range(60)]
        assert {int(connection.recv(65_536)[9:12]) for connection in held} == {HTTPStatus.OK}
        # Of the four threads that read requests, and the four that answer them, some may have come meanwhile.
        assert server.threads() <= before + 8


def test_a_stream_that_its_reader_left_gives_its_place_back(tmp_path: Path) -> None:
    with running_server(tmp_path, THREADS="4", STREAMS="1") as server:
        words = request("GET", "/api/client/streaming", server.tokens["client"])
        first = server.say(words)
        assert int(first.recv(65_536)[9:12]) == HTTPStatus.OK
        assert read(server.say(words))[0] == HTTPStatus.SERVICE_UNAVAILABLE
        first.close()
        give_up = time.monotonic() + 60
        while int(server.say(words).recv(65_536)[9:12]) != HTTPStatus.OK:
            assert time.monotonic() < give_up
            time.sleep(0.2)
        assert "Traceback" not in server.served.log.read_text()
