"""No client of ours follows a redirect: whatever a server says, a token stays with the address it was given for."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from alerts.notifications.sender import send
from alerts.prometheus_queries.prometheus import QueryError, query_total
from control_plane.platform.problems import Problem
from credits_engine.client import RemoteBackend
from credits_engine.engines.amounts import Amounts
from flags.relay.upstream import Upstream, UpstreamError

TOKEN = "*:production.a-token-of-the-tests"
REDIRECTS = (301, 302, 303, 307, 308)


class RedirectHandler(BaseHTTPRequestHandler):
    """A server that redirects everybody to its other side, and remembers who came there."""

    status = 302
    came: list[str] = []  # noqa: RUF012 - one for all requests

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.startswith("/elsewhere"):
            self.came.append(str(self.headers))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")
            return
        self.send_response(self.status)
        self.send_header("Location", f"http://localhost:{self.connection.getsockname()[1]}/elsewhere")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_GET = do_POST = _answer  # noqa: N815 - the base class looks for these names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Print nothing."""


@pytest.fixture(params=REDIRECTS)
def url(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(RedirectHandler, "status", request.param)
    RedirectHandler.came.clear()
    server = HTTPServer(("127.0.0.1", 0), RedirectHandler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    assert RedirectHandler.came == []


def test_a_relay_stays(url: str) -> None:
    upstream = Upstream(url)
    for ask in (
        lambda: upstream.poll(TOKEN, ""),
        lambda: list(upstream.follow(TOKEN, None)),
        lambda: upstream.validate([TOKEN]),
        lambda: upstream.report(TOKEN, {}),
    ):
        with pytest.raises(UpstreamError, match="a redirect is not followed"):
            ask()


def test_a_service_that_takes_credits_stays(url: str) -> None:
    with pytest.raises(Problem, match="a redirect is not followed") as refusal:
        RemoteBackend(url, TOKEN, 5).reserve("ada", "k", Amounts(1, 0))
    assert refusal.value.status == 502


def test_who_asks_prometheus_stays(url: str) -> None:
    with pytest.raises(QueryError, match="a redirect is not followed"):
        query_total(url, "up", at=0)


def test_who_sends_notices_stays(url: str) -> None:
    assert not send(f"{url.replace('http', 'json')}/?+X-Token=secret", "title", "body")
