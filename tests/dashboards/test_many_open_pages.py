"""A hundred and fifty open pages on a server of 32 threads: all of them are told, and none takes a thread."""

import re
import selectors
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from control_plane.experiments.credits import FLAG
from control_plane.platform.settings import Settings
from tests import people
from tests.applications import application
from tests.serving import Served, serving

pytestmark = pytest.mark.faults

PAGES, OF_VICTOR = 150, 50
SECONDS = 30


@contextmanager
def running(place: Path) -> Iterator[Served]:
    url = f"sqlite:///{place / 'rollout.db'}"
    with application(Settings(database_url=url, instance_dir=place, secret_key="-", background=False)) as app:
        people.invite(app, datetime.now(UTC))
    with serving(place, THREADS="32") as served:
        yield served


class Browser:
    """Somebody who has signed in, and the pages that they hold open."""

    def __init__(self, served: Served, name: str, held: ExitStack) -> None:
        self._url, self._held, self._session = served.url, held, requests.Session()
        self.post("/sign-in", username=name, password=people.PASSWORD)

    def post(self, path: str, **form: str) -> None:
        answer = self._session.post(f"{self._url}{path}", data=form, headers={"Sec-Fetch-Site": "same-origin"})
        assert answer.status_code == 200, answer.text

    def open(self) -> socket.socket:
        address = urlsplit(self._url)
        pairs = "; ".join(f"{name}={value}" for name, value in self._session.cookies.items())
        page = socket.create_connection((address.hostname or "", address.port or 0), timeout=SECONDS)
        self._held.enter_context(page)
        page.sendall(f"GET /live/rollouts/{FLAG} HTTP/1.1\r\nHost: here\r\nCookie: {pairs}\r\n\r\n".encode())
        return page


def test_150_pages_hear_of_a_change_and_of_the_end_of_their_session(tmp_path: Path) -> None:
    with running(tmp_path) as served, ExitStack() as held:
        alice, victor = (Browser(served, name, held) for name in ("alice", "victor"))
        of_victor = [victor.open() for _ in range(OF_VICTOR)]
        of_alice = [alice.open() for _ in range(PAGES - OF_VICTOR)]
        read_until([*of_alice, *of_victor], b"event: asof")
        assert threads(served) < PAGES
        alice.post(f"/rollouts/{FLAG}/hold", reason="Seen-by-all.")
        read_until([*of_alice, *of_victor], b"Seen-by-all.")
        victor.post("/sign-out")
        read_until(of_victor, b'"because": "signed-out"')
        alice.post(f"/rollouts/{FLAG}/resume", reason="Seen-by-alice.")
        read_until(of_alice, b"Seen-by-alice.")
        assert re.findall("Traceback|live.failed|live.stale", served.log.read_text()) == []


def threads(served: Served) -> int:
    """Return how many threads the worker has."""
    tasks = Path(f"/proc/{served.process.pid}/task").iterdir()
    workers = " ".join((task / "children").read_text() for task in tasks).split()
    return max(len(list(Path(f"/proc/{worker}/task").iterdir())) for worker in workers)


def read_until(pages: list[socket.socket], wanted: bytes) -> None:
    """Read what each page is sent until that is among it."""
    with selectors.DefaultSelector() as selector:
        for page in pages:
            selector.register(page, selectors.EVENT_READ, bytearray())
        while waiting := len(selector.get_map()):
            ready = selector.select(timeout=SECONDS)
            assert ready, f"{waiting} pages were not told."
            for key, _ in ready:
                assert isinstance(key.fileobj, socket.socket)
                came = key.fileobj.recv(65_536)
                assert came, bytes(key.data)
                key.data.extend(came)
                if wanted in key.data:
                    selector.unregister(key.fileobj)
