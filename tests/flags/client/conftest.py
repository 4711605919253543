"""What every test of the client may ask for."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from flask import Flask, request
from werkzeug.serving import make_server

from flags.client.comparison import Comparisons
from flags.client.reporter import Reporter

PATIENCE_SECONDS = 30
LIMIT_SECONDS = 0.2
"""How long a shadow may take."""
Results = list[dict[str, Any]]


@pytest.fixture
def results(monkeypatch: pytest.MonkeyPatch) -> Results:
    """Results in the order in which they are reported; nothing is sent."""
    found: Results = []
    monkeypatch.setattr(Reporter, "add", lambda _self, _flag, result: found.append(result))
    return found


@pytest.fixture
def comparisons(results: Results) -> Iterator[Comparisons]:
    """Comparisons of this process, of which `results` is what they report."""
    made = Comparisons("http://127.0.0.1:9", "-", LIMIT_SECONDS)
    yield made
    made.close()


@dataclass
class Server:
    """A control plane that answers with `status` and remembers the batches."""

    url: str = ""
    status: int = 202
    batches: list[dict[str, Any]] = field(default_factory=list)

    @property
    def taken(self) -> list[dict[str, Any]]:
        """The batches that it answered with 202."""
        return [each for each in self.batches if each["status"] == 202]


@pytest.fixture
def server() -> Iterator[Server]:
    made, app = Server(), Flask(__name__)

    @app.post("/api/experiments/<flag>/results")
    def results(flag: str) -> tuple[str, int]:
        made.batches.append(request.get_json() | {"flag": flag, "status": made.status})
        return "", made.status

    serving = make_server("127.0.0.1", 0, app)
    made.url = f"http://127.0.0.1:{serving.server_port}"
    thread = threading.Thread(target=serving.serve_forever, daemon=True)
    thread.start()
    yield made
    serving.shutdown()
    thread.join()
    serving.server_close()


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], None]:
    """`eventually(lambda: …)` returns once it is so, and fails if that takes far too long."""

    def wait(is_so: Callable[[], bool]) -> None:
        give_up = time.monotonic() + PATIENCE_SECONDS
        while not is_so():
            assert time.monotonic() < give_up, "It did not come about."
            time.sleep(0.02)

    return wait
