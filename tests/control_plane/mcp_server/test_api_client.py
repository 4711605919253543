"""Requests of an assistant's tools: where the token goes, and what is made of answers that nobody expects."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from control_plane.mcp_server import api_client
from control_plane.mcp_server.api_client import APIClient, RefusedByServer

Serve = Callable[[int, bytes, dict[str, str]], tuple[str, list[str]]]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """`serve(status, body, headers)` gives the address of a server that answers so, and what it was asked with."""
    servers = []

    def start(status: int, body: bytes, headers: dict[str, str]) -> tuple[str, list[str]]:
        asked: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(f"{self.path} {self.headers['Authorization']}")
                self.send_response(status)
                for name, value in ({"Content-Length": str(len(body))} | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.do_GET()

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}", asked

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_the_token_and_every_part_of_the_path_arrive(serve: Serve) -> None:
    url, asked = serve(200, b'{"found": 1}', {})
    assert APIClient(f"{url}/", "secret").get("flags", "a/b c", "explain", userId="é", environment="") == {"found": 1}
    assert asked == ["/api/flags/a%2Fb%20c/explain?userId=%C3%A9 Bearer secret"]


@pytest.mark.parametrize("flag", [".", ".."])
def test_a_name_that_leads_to_another_address_is_refused(serve: Serve, flag: str) -> None:
    """Of `..` the address of `/api/flags/../explain` would be made, whichever way it is quoted."""
    url, asked = serve(200, b"{}", {})
    with pytest.raises(RefusedByServer, match="No flag is called so"):
        APIClient(url, "secret").post("rollouts", flag, "hold", reason="A test.")
    assert asked == []


def test_a_redirect_does_not_take_the_token_along(serve: Serve) -> None:
    elsewhere, heard = serve(200, b"{}", {})
    url, _ = serve(302, b"", {"Location": f"{elsewhere}/api/rollouts"})
    with pytest.raises(RefusedByServer, match="answered 302"):
        APIClient(url, "secret").get("rollouts")
    assert heard == []


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (
            403,
            b'{"code": "FORBIDDEN", "detail": "Only an owner may."}',
            "FORBIDDEN: Only an owner may.",
        ),
        (502, b"<html>Bad gateway</html>", "answered 502, and nothing that this program can read"),
        (200, b"[1, 2]", "answered 200, and nothing"),
        (200, b"\xff", "answered 200, and nothing"),
        (500, b'{"detail": 7}', "answered 500"),
    ],
)
def test_what_is_refused_or_can_not_be_read_is_a_sentence(serve: Serve, status: int, body: bytes, said: str) -> None:
    url, _ = serve(status, body, {})
    with pytest.raises(RefusedByServer, match=said):
        APIClient(url, "secret").get("rollouts")


def test_an_answer_that_never_ends_is_cut(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_client, "ANSWER_BYTES_MAX", 1000)
    url, _ = serve(200, b" " * 100_000, {})
    with pytest.raises(RefusedByServer, match="longer than an assistant can use"):
        APIClient(url, "secret").get("audit")


@pytest.mark.parametrize("token", ["secret\n", "secret\nX-More: 1", "secret…"])
def test_a_token_that_no_header_takes_is_not_repeated(token: str) -> None:
    with pytest.raises(RefusedByServer, match="could not be written") as refused:
        APIClient("http://127.0.0.1:9", token).get("rollouts")
    assert "secret" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


@pytest.mark.parametrize(
    ("status", "body", "is_unsure"),
    [
        (409, b'{"code": "VERSION_CONFLICT", "detail": "Changed since."}', False),
        (504, b"<html>Gateway timeout</html>", True),
        (503, b'{"code": "DATABASE_UNAVAILABLE", "detail": "Again."}', True),
        (200, b"<html>", True),
        (200, b" " * 3_000_000, True),
    ],
)
def test_a_move_of_which_nobody_knows_what_became_says_so(
    serve: Serve, status: int, body: bytes, is_unsure: bool
) -> None:
    url, _ = serve(status, body, {})
    with pytest.raises(RefusedByServer) as refused:
        APIClient(url, "secret").post("rollouts", "F", "rollback", reason="It fails in production.")
    assert (api_client.MAYBE_DONE in str(refused.value)) is is_unsure
