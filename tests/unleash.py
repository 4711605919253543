"""A real unleash-server, installed by its lock and run on a PostgreSQL of its own, beside ours."""

import os
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests

from tests import node, postgres
from tests.processes import dies_with_us, free_port

PROJECT = Path(__file__).parent / "clients" / "unleash_server"
ENVIRONMENT = "development"
FIRST_ADMIN = {"username": "admin", "password": "unleash4all"}
"""The account that a new installation of it has."""
LIMITS = (
    "SDK_API_RATE_LIMIT_PER_MINUTE",
    "TOKEN_AUTHENTICATION_RATE_LIMIT_PER_MINUTE",
    "REGISTER_FRONTEND_RATE_LIMIT_PER_MINUTE",
    "FRONTEND_METRICS_RATE_LIMIT_PER_MINUTE",
)
"""What would have it refuse a load of one address."""
STANDARD = {
    "userWithId": ("userIds",),
    "gradualRolloutUserId": ("percentage", "groupId"),
    "gradualRolloutSessionId": ("percentage", "groupId"),
    "gradualRolloutRandom": ("percentage",),
    "remoteAddress": ("IPs",),
    "applicationHostname": ("hostNames",),
}
START_SECONDS = 120
STOP_SECONDS = 10


class UnleashUnavailable(RuntimeError):  # noqa: N818 - what it is
    """The server can't be had here: no npm registry, or no PostgreSQL; the message says which."""


@dataclass(frozen=True, slots=True)
class Unleash:
    """A running unleash-server: where it answers, its tokens, and somebody who is signed in."""

    url: str
    client: str
    frontend: str
    people: requests.Session

    def call(self, method: str, path: str, document: Any = None) -> Any:
        """Return the answer of its admin API. Raises RuntimeError with what it says where it refuses."""
        answer = self.people.request(method, f"{self.url}/api/admin/{path}", json=document, timeout=60)
        if not answer.ok:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text[:600]}")
        return answer.json() if answer.content and "json" in answer.headers.get("Content-Type", "") else None

    def enter(self, features: list[dict[str, Any]], segments: list[dict[str, Any]]) -> None:
        """Make these features and segments, in the form of SDKs, by its own import and its admin API."""
        known = {each["name"] for each in self.call("GET", "strategies")["strategies"]}
        for name, parameters in STANDARD.items():
            if name not in known:  # a new installation lacks those that are no longer recommended, its SDKs don't
                fields = [{"name": each, "type": "string", "required": False} for each in parameters]
                self.call("POST", "strategies", {"name": name, "parameters": fields})
        numbers = {each["id"]: self._segment(each) for each in segments}
        names = {number: each["name"] for each, number in zip(segments, numbers.values(), strict=True)}
        for first in range(0, len(features), 100):
            document = _export(features[first : first + 100], numbers, names)
            body = {"project": "default", "environment": ENVIRONMENT, "data": document}
            self.call("POST", "features-batch/import", body)
        for feature in features:
            for parent in feature.get("dependencies", ()):
                self.call("POST", f"projects/default/features/{quote(feature['name'])}/dependencies", parent)

    def features(self) -> dict[str, Any]:
        """Return the flags that its SDKs are given."""
        headers = {"Authorization": self.client, "Unleash-Client-Spec": "5.2.0"}
        answer = requests.get(f"{self.url}/api/client/features", headers=headers, timeout=60)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def _segment(self, segment: dict[str, Any]) -> int:
        document = {"name": segment["name"], "constraints": segment["constraints"]}
        return int(self.call("POST", "segments", document)["id"])


@contextmanager
def running(folder: Path) -> Iterator[Unleash]:
    """Serve while the block lasts. Raises UnleashUnavailable where it can't be had."""
    try:
        packages = node.packages(PROJECT)
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        raise UnleashUnavailable(str(error)) from error
    with postgres.running() as server_url, postgres.database(server_url) as database_url:
        tokens = {kind: secrets.token_hex(16) for kind in ("client", "frontend")}
        port = free_port()
        made = Unleash(
            f"http://127.0.0.1:{port}",
            f"*:{ENVIRONMENT}.{tokens['client']}",
            f"*:{ENVIRONMENT}.{tokens['frontend']}",
            requests.Session(),
        )
        settings = {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": database_url,
            "DATABASE_SSL": "false",
            "HTTP_HOST": "127.0.0.1",
            "HTTP_PORT": str(port),
            "INIT_CLIENT_API_TOKENS": made.client,
            "INIT_FRONTEND_API_TOKENS": made.frontend,
            "CHECK_VERSION": "false",
            "SEND_TELEMETRY": "false",
            "LOG_LEVEL": "error",
            **dict.fromkeys(LIMITS, "100000000"),
            "NODE_ENV": "production",
        }
        command = [node.NODE, packages / "unleash-server" / "dist" / "server.js"]
        with (folder / "unleash.log").open("wb") as log:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env=settings,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=dies_with_us(signal.SIGTERM),  # noqa: PLW1509 - no thread of ours forks at this moment
            )
        try:
            _wait_until_ready(made, process, folder / "unleash.log")
            made.people.post(f"{made.url}/auth/simple/login", json=FIRST_ADMIN, timeout=60).raise_for_status()
            yield made
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_ready(server: Unleash, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < give_up:
        try:
            if requests.get(f"{server.url}/health", timeout=1).ok:
                return
        except requests.RequestException:
            pass
        time.sleep(0.1)
    raise UnleashUnavailable(f"unleash-server did not answer. It printed:\n{log.read_text(errors='replace')[-2000:]}")


def _export(features: list[dict[str, Any]], numbers: dict[int, int], names: dict[int, str]) -> dict[str, Any]:
    """Return the features as Unleash's own export has them."""
    strategies = [
        {
            **{name: value for name, value in strategy.items() if name != "segments"},
            "featureName": feature["name"],
            "sortOrder": place,  # without one its SDKs and its frontend may be given them in another order
            "segments": [numbers[each] for each in strategy.get("segments", ())],
        }
        for feature in features
        for place, strategy in enumerate(feature["strategies"])
    ]
    environments = [
        {
            "name": feature["name"],
            "featureName": feature["name"],
            "environment": ENVIRONMENT,
            "enabled": feature["enabled"],
            "variants": feature.get("variants", []),
        }
        for feature in features
    ]
    return {
        "features": [{"name": each["name"], "type": "release", "project": "default"} for each in features],
        "featureStrategies": strategies,
        "featureEnvironments": environments,
        "contextFields": [],
        "featureTags": [],
        "tagTypes": [],
        "segments": [{"id": number, "name": name} for number, name in names.items()],
        "dependencies": [],
    }
