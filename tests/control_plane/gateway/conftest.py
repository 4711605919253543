"""A real server with its limits at their least, and connections that say whatever a test wants to say."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from control_plane.platform.settings import Settings
from flags.store import UserAttributes
from tests.applications import application
from tests.installation import Installation
from tests.serving import Served, serving

ANSWER_SECONDS = 30


class RunningServer:
    """A running server, the tokens that open it, and raw connections to it."""

    def __init__(self, served: Served, tokens: dict[str, str], held: ExitStack) -> None:
        self.served = served
        self.tokens = tokens
        self._held = held

    def say(self, words: bytes) -> socket.socket:
        """Return a connection on which `words` were sent, closed with the test."""
        address = urlsplit(self.served.url)
        connection = socket.create_connection((address.hostname or "", address.port or 0), timeout=ANSWER_SECONDS)
        self._held.enter_context(connection)
        connection.sendall(words)
        return connection

    def answer(self, words: bytes) -> tuple[int, bytes]:
        """Return the status and the body of the answer to `words`, after which the connection has to end."""
        return read(self.say(words))

    def threads(self) -> int:
        """Return how many threads the worker has."""
        tasks = Path(f"/proc/{self.served.process.pid}/task")
        children = " ".join((task / "children").read_text() for task in tasks.iterdir()).split()
        return max(len(list(Path(f"/proc/{child}/task").iterdir())) for child in children)


def read(connection: socket.socket) -> tuple[int, bytes]:
    """Return the status and the body of what is sent until the connection ends."""
    received = b""
    while part := connection.recv(65_536):
        received += part
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head[9:12]), body


@contextmanager
def running_server(place: Path, **settings: str) -> Iterator[RunningServer]:
    """Yield a running server in a folder of its own, which believes one proxy."""
    url = f"sqlite:///{place / 'rollout.db'}"
    with application(Settings(database_url=url, instance_dir=place, secret_key="-", background=False)) as app:
        installation = Installation(app)
        installation.plan()
        installation.users(UserAttributes("u-1", "free"))
        tokens = {kind: installation.token(kind) for kind in ("client", "service")}
    with serving(place, TRUSTED_PROXIES="1", **settings) as served, ExitStack() as held:
        yield RunningServer(served, tokens, held)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A running server with its limits at their least."""
    with running_server(
        tmp_path_factory.mktemp("server"), THREADS="4", STREAMS="1", REQUEST_BODY_SECONDS="5"
    ) as server:
        yield server
