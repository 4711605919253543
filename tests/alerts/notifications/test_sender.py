"""Through the real apprise to a real web hook."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from alerts.notifications.sender import send

Received = list[dict[str, Any]]


@pytest.fixture
def received() -> Received:
    """Return the list of the requests that the web hook got."""
    return []


@pytest.fixture
def address(received: Received) -> Iterator[str]:
    """The address of a web hook in apprise's words."""

    class WebHookHandler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200 if self.path == "/taken" else 500)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), WebHookHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"json://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_message_arrives_with_title_and_body(address: str, received: Received) -> None:
    assert send(f"{address}/taken", "ENABLE_CREDITS_V2 held", "Why: 3 of 20 (15%) failed.")
    (message,) = received
    assert (message["title"], message["message"]) == ("ENABLE_CREDITS_V2 held", "Why: 3 of 20 (15%) failed.")


def test_what_the_target_refuses_is_not_sent(address: str) -> None:
    assert not send(f"{address}/refused", "title", "body")


def test_an_address_that_nothing_understands_is_not_sent() -> None:
    assert not send("carrier-pigeon://loft", "title", "body")
