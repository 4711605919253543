"""Knocking: who would otherwise be forgotten is noticed, and a server that is not there yet is waited for."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from control_plane import keepalive_ping
from control_plane.platform.settings import Settings
from tests.processes import free_port
from tests.serving import serving

PATIENCE_SECONDS = 60


def test_it_begins_before_the_server_does_and_goes_on_for_good(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(keepalive_ping, "PING_SECONDS", 0.05)
    port, heard = free_port(), threading.Semaphore(0)

    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/healthz" else 404)
            self.end_headers()
            heard.release()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    keepalive_ping.start(Settings(database_url="sqlite://", instance_dir=tmp_path, host="0.0.0.0", port=port))  # noqa: S104
    with HTTPServer(("127.0.0.1", port), Door) as door:
        answering = threading.Thread(target=door.serve_forever, kwargs={"poll_interval": 0.05})
        answering.start()
        assert all(heard.acquire(timeout=PATIENCE_SECONDS) for _ in range(3))
        door.shutdown()
        answering.join()


def test_the_server_answers_its_own_ping(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        host, _, port = served.url.removeprefix("http://").partition(":")
        assert keepalive_ping.ping(host, int(port)) == 200
    with pytest.raises(ConnectionRefusedError):
        keepalive_ping.ping(host, int(port))
