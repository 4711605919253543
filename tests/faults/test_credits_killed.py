"""Workers and PostgreSQL are killed under load from sixteen clients that retry with their keys.

Whatever was acknowledged is there exactly once, and nothing is charged twice.
"""

import json
import os
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http.client import HTTPException
from itertools import count
from pathlib import Path

import pytest
from flask import Flask

from control_plane.platform.settings import Settings
from flags.store import UserAttributes
from tests.applications import application
from tests.faults.crashable_server import crashable
from tests.faults.ledger import assert_whole
from tests.installation import Installation
from tests.serving import Served, serving

pytestmark = pytest.mark.faults

CLIENTS = 16
AGAIN_SECONDS = 0.05
ANSWERS_BETWEEN = 40
# A worker that ends sooner after its start is taken for one that can't run at all, and the server ends.
WORKER_LIVES_SECONDS = 6.0
ANSWER_SECONDS = 300


@dataclass
class CreditClients:
    """Clients of the credits; each takes one credit after the other and repeats what was not answered."""

    url: str
    token: str
    ways: tuple[tuple[str, ...], ...] = (("consume",),)
    """The requests that an operation takes, by turns."""
    pause_seconds: float = 0.0
    """How long each client waits after an answer."""
    answered: dict[str, int] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)
    repeated: int = 0
    failures: list[str] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> "CreditClients":
        self._threads = [threading.Thread(target=self._take_all, args=[f"u{number}"]) for number in range(CLIENTS)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def wait_for_more(self) -> None:
        """Return once there were so many more answers."""
        enough, give_up = len(self.answered) + ANSWERS_BETWEEN, time.monotonic() + ANSWER_SECONDS
        while len(self.answered) < enough:
            assert time.monotonic() < give_up, f"{len(self.answered)} of {enough} answers; {self.failures[-3:]}"
            time.sleep(0.01)

    def _take_all(self, user: str) -> None:
        for number in count():
            key, way = f"{user}-{number}", self.ways[number % len(self.ways)]
            while (operation := self._take(user, key, way)) is None:
                self.repeated += 1
                if self._ended.wait(AGAIN_SECONDS):
                    self.open.add(key)
                    return
            self.answered[key] = operation
            if self._ended.wait(self.pause_seconds):
                return

    def _take(self, user: str, key: str, way: tuple[str, ...]) -> int | None:
        """Return the journal row that answers; None where it is unknown what became of a request."""
        try:
            operation, *_ = [self._ask(request, user, key) for request in way]
        except urllib.error.HTTPError as error:
            self.failures.append(f"{error.code} {error.read(300)!r}")
            if error.code < 500:
                raise
        except (OSError, HTTPException, ValueError) as error:
            self.failures.append(repr(error))
        else:
            return operation
        return None

    def _ask(self, request: str, user: str, key: str) -> int:
        asked = {} if request == "commit" else {"creditType": "analysis", "amount": 1}
        body = json.dumps({"userId": user, **asked}).encode()
        headers = {"Authorization": self.token, "Idempotency-Key": key, "Content-Type": "application/json"}
        sent = urllib.request.Request(f"{self.url}/api/credits/{request}", body, headers)  # noqa: S310 - our own address
        with urllib.request.urlopen(sent, timeout=10) as response:  # noqa: S310
            return int(json.load(response)["operationId"])


def prepared(app: Flask) -> str:
    """Return a token for an installation in which every client has a user of its own."""
    installation = Installation(app)
    installation.users(*(UserAttributes(f"u{number}", "plus", datetime.now(UTC)) for number in range(CLIENTS)))
    return installation.token("service")


def kill_worker(served: Served) -> None:
    for number in served.workers:
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)


def suffered(clients: CreditClients, strike: Callable[[], None], times: int, *, every_seconds: float = 0) -> None:
    with clients:
        for _ in range(times):
            clients.wait_for_more()
            time.sleep(every_seconds)
            strike()
        clients.wait_for_more()


def assert_nothing_lost(app: Flask, clients: CreditClients) -> None:
    charged = {row["operation_key"]: row["id"] for row in assert_whole(app) if row["charged"]["analysis"]}
    assert {key: charged.get(key) for key in clients.answered} == clients.answered
    assert charged.keys() - clients.answered.keys() <= clients.open
    assert clients.repeated > 0, "no request was ever caught by a kill"


@pytest.mark.parametrize("kills", [2, pytest.param(50, marks=pytest.mark.long)])
def test_a_killed_worker_loses_nothing_and_charges_nothing_twice(
    app: Flask, database_url: str, tmp_path: Path, kills: int
) -> None:
    token = prepared(app)
    with serving(tmp_path, DATABASE_URL=database_url) as served:
        clients = CreditClients(served.url, token)
        suffered(clients, lambda: kill_worker(served), kills, every_seconds=WORKER_LIVES_SECONDS)
    assert_nothing_lost(app, clients)


@pytest.fixture
def crash_settings(tmp_path: Path) -> Iterator[tuple[Settings, Callable[[], None]]]:
    """Settings of an installation on a server of its own, and how to kill that and start it again."""
    with crashable() as server:
        url = server.url.replace("postgresql://", "postgresql+psycopg://", 1)

        def strike() -> None:
            server.kill()
            server.start()

        yield Settings(database_url=url, instance_dir=tmp_path, secret_key="-", background=False), strike


@pytest.mark.parametrize("kills", [2, pytest.param(10, marks=pytest.mark.long)])
def test_a_killed_postgresql_loses_nothing_and_charges_nothing_twice(
    crash_settings: tuple[Settings, Callable[[], None]], tmp_path: Path, kills: int
) -> None:
    settings, strike = crash_settings
    with application(settings) as app:
        token = prepared(app)
    with serving(tmp_path, DATABASE_URL=settings.database_url) as served:
        clients = CreditClients(served.url, token)
        suffered(clients, strike, kills)
    with application(replace(settings)) as app:
        assert_nothing_lost(app, clients)
