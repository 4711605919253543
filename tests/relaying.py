"""`rollout relay` in a process of its own, and an official client that follows it."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from UnleashClient import UnleashClient
from UnleashClient.cache import FileCache

from tests.processes import free_port
from tests.serving import COMMAND, SECRET_KEY

START_SECONDS = 60


@contextmanager
def relaying(place: Path, upstream: str, *tokens: str, port: int = 0) -> Iterator[str]:
    """Yield the address of a relay that keeps what it knows in `place`."""
    port = port or free_port()
    address = f"http://127.0.0.1:{port}"
    options = [word for token in tokens for word in ("--token", token)]
    environment = {"INSTANCE_DIR": str(place), "PORT": str(port), "PATH": "/usr/bin:/bin", "SECRET_KEY": SECRET_KEY}
    with (place / "relay.log").open("ab") as log:
        process = subprocess.Popen(
            [COMMAND, "relay", "--upstream", upstream, *options],
            cwd=place,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        give_up = time.monotonic() + START_SECONDS
        while not _answers(address):
            assert time.monotonic() < give_up, (place / "relay.log").read_text()
            time.sleep(0.05)
        yield address
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def client(address: str, token: str, place: Path, *, mode: str) -> Iterator[UnleashClient]:
    """Yield an official client that polls or streams, and keeps what it knows in `place`."""
    made = UnleashClient(
        f"{address}/api",
        f"shop-{mode}",
        custom_headers={"Authorization": token},
        refresh_interval=1,
        metrics_interval=1,
        experimental_mode={"type": mode},  # type: ignore[arg-type] # one of its two words
        cache=FileCache(f"shop-{mode}", directory=str(place)),
    )
    with made:
        yield made


def _answers(address: str) -> bool:
    try:
        return requests.get(f"{address}/healthz", timeout=1).ok
    except requests.ConnectionError:
        return False
