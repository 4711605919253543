"""Flags while things break around the program that serves them: none flips, and everybody ends up with the truth."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from UnleashClient import UnleashClient
from UnleashClient.cache import FileCache

from control_plane.experiments.credits import FLAG
from control_plane.platform.settings import Settings
from flags.unleash.delta import FeatureState
from tests.applications import application
from tests.faults.network import TcpProxy
from tests.installation import Installation
from tests.serving import Served, serving

pytestmark = pytest.mark.faults

OTHER = {"name": "other", "enabled": True, "strategies": [{"name": "default"}]}
PATIENCE_SECONDS = 60
LEASE_SECONDS = "3"


@pytest.fixture
def proxy(postgresql_url: str) -> Iterator[TcpProxy]:
    """Connect the program with its PostgreSQL by a proxy that can be cut."""
    address = urlsplit(postgresql_url)
    proxy = TcpProxy(address.hostname or "", address.port or 0)
    yield proxy
    proxy.cut()


@pytest.fixture
def installation(postgresql_url: str, tmp_path: Path) -> Iterator[Installation]:
    """Changes the installation, by a line of its own to the database."""
    settings = Settings(database_url=postgresql_url, instance_dir=tmp_path, secret_key="-", background=False)
    with application(settings) as app:
        installation = Installation(app)
        installation.plan()
        yield installation


@pytest.fixture
def served(postgresql_url: str, proxy: TcpProxy, tmp_path: Path) -> Iterator[Served]:
    """The program, whose guard keeps a short lease."""
    url = urlsplit(postgresql_url)
    through = url._replace(netloc=f"{url.username}:{url.password}@127.0.0.1:{proxy.port}").geturl()
    with serving(tmp_path, DATABASE_URL=through, GUARD_LEASE_SECONDS=LEASE_SECONDS) as served:
        yield served


@contextmanager
def streaming(served: Served, installation: Installation, place: Path, environment: str) -> Iterator[UnleashClient]:
    """Yield the official client, which follows the stream."""
    client = UnleashClient(
        f"{served.url}/api",
        f"shop-{environment}",
        custom_headers={"Authorization": installation.token("client", environment=environment)},
        disable_metrics=True,
        experimental_mode={"type": "streaming"},
        cache=FileCache(f"shop-{environment}", directory=str(place)),
    )
    with client:
        eventually(lambda: FLAG in client.feature_definitions())
        yield client


def eventually(is_so: Callable[[], bool]) -> None:
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < give_up, "It did not come about."
        time.sleep(0.05)


def take(served: Served, installation: Installation, *features: dict[str, Any]) -> None:
    answer = requests.post(
        f"{served.url}/api/environments/production/import",
        json={"features": features},
        headers={"Authorization": installation.token("admin")},
        timeout=10,
    )
    assert answer.status_code == 200, answer.text


def evaluation(served: Served, token: str, flag: str) -> dict[str, Any]:
    answer = requests.post(
        f"{served.url}/ofrep/v1/evaluate/flags/{flag}",
        json={"context": {"targetingKey": "7"}},
        headers={"Authorization": token},
        timeout=10,
    )
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


@pytest.mark.parametrize("away_seconds", [6, pytest.param(60, marks=pytest.mark.long)])
def test_while_the_database_is_away_only_the_guards_lease_takes_a_flag_away(
    served: Served, installation: Installation, proxy: TcpProxy, tmp_path: Path, away_seconds: int
) -> None:
    installation.move(3, 3)
    take(served, installation, OTHER)
    token = installation.token("client")
    with (
        streaming(served, installation, tmp_path, "production") as production,
        streaming(served, installation, tmp_path, "staging") as staging,
    ):
        eventually(lambda: production.is_enabled(FLAG, {"userId": "7"}) and production.is_enabled("other"))
        assert evaluation(served, token, "other")["value"] is True
        proxy.cut()
        ends = time.monotonic() + away_seconds
        while time.monotonic() < ends:
            assert staging.is_enabled(FLAG)
            assert production.is_enabled("other")
            assert evaluation(served, token, "other")["value"] is True
            time.sleep(0.1)
        assert not production.is_enabled(FLAG, {"userId": "7"}), "nobody watches"
        assert evaluation(served, token, FLAG)["reason"] in ("DISABLED", "STALE")
        if away_seconds > 10:
            assert evaluation(served, token, "other")["reason"] == "STALE"
        proxy.mend()
        eventually(lambda: production.is_enabled(FLAG, {"userId": "7"}))
        installation.roll_back()
        eventually(lambda: not production.is_enabled(FLAG, {"userId": "7"}))
        assert evaluation(served, token, "other")["reason"] == "STATIC"


def test_a_worker_that_is_killed_costs_its_streams_nothing(
    served: Served, installation: Installation, tmp_path: Path
) -> None:
    token = installation.token("client", environment="staging")
    with streaming(served, installation, tmp_path, "staging") as client:
        listeners = [_listen(served, token) for _ in range(20)]
        for worker in served.workers:
            os.kill(worker, signal.SIGKILL)
        installation.roll_back(in_all=True)
        eventually(lambda: not client.is_enabled(FLAG))
        payload = requests.get(
            f"{served.url}/api/client/features",
            headers={"Authorization": token, "Unleash-Client-Spec": "6.1.0"},
            timeout=10,
        ).json()
        held = json.loads(client._engine.get_state())
        assert {feature["name"]: feature["enabled"] for feature in held["features"]} == {
            feature["name"]: feature["enabled"] for feature in payload["features"]
        }
        for listener in listeners:
            listener.close()


def test_a_stream_goes_on_after_its_worker_was_killed_and_ends_with_what_everybody_has(
    served: Served, installation: Installation
) -> None:
    token, held = installation.token("client", environment="staging"), FeatureState()
    with _listen(served, token) as listener:
        last_id = _take_event(listener, held)
    for worker in served.workers:
        os.kill(worker, signal.SIGKILL)
    installation.roll_back(in_all=True)
    eventually(lambda: _answers(served))
    with _listen(served, token, last_id) as listener:
        _take_event(listener, held)
    payload = requests.get(
        f"{served.url}/api/client/features",
        headers={"Authorization": token, "Unleash-Client-Spec": "6.1.0"},
        timeout=10,
    ).json()
    assert held.to_json()["features"] == payload["features"]
    assert not held.features[FLAG]["enabled"]


def _listen(served: Served, token: str, last_id: str = "") -> requests.Response:
    headers = {"Authorization": token, **({"Last-Event-ID": last_id} if last_id else {})}
    answer = requests.get(f"{served.url}/api/client/streaming", headers=headers, stream=True, timeout=10)
    assert answer.status_code == 200
    return answer


def _take_event(listener: requests.Response, held: FeatureState) -> str:
    """Apply the next event of the stream; gives its id."""
    last_id = ""
    for line in listener.iter_lines(chunk_size=1, decode_unicode=True):
        name, _, value = line.partition(": ")
        if name == "id":
            last_id = value
        if name == "data":
            held.apply(json.loads(value)["events"])
            return last_id
    raise AssertionError("The stream ended before an event.")


def _answers(served: Served) -> bool:
    try:
        return requests.get(f"{served.url}/healthz", timeout=5).ok
    except requests.ConnectionError:
        return False
