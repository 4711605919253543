"""The real Alertmanager in front of the real server: an alert raised there is a rollback here."""

import json
import shutil
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from control_plane.experiments.credits import FLAG
from control_plane.platform.settings import Settings
from tests.applications import application
from tests.installation import Installation
from tests.monitoring import alertmanager
from tests.processes import free_port
from tests.serving import serving

pytestmark = pytest.mark.faults

PATIENCE_SECONDS = 20


@pytest.fixture
def installation(sqlite_template: Path, tmp_path: Path) -> Iterator[Installation]:
    """An installation in a folder of its own, its rollout at 10 % of everyone."""
    file = shutil.copy(sqlite_template, tmp_path / "rollout.db")
    with application(Settings(database_url=f"sqlite:///{file}", instance_dir=tmp_path, background=False)) as app:
        installation = Installation(app)
        installation.plan()
        installation.move(3)
        yield installation


def test_an_alert_raised_in_the_real_alertmanager_rolls_back(installation: Installation, tmp_path: Path) -> None:
    service, admin = installation.token("service"), installation.token("admin")
    with serving(tmp_path) as served, alertmanager(tmp_path, served.url, service, group_interval="1s") as url:
        began = datetime.now(UTC)
        raise_alert(url, began)
        state = eventually(lambda: rollout(served.url, admin), lambda found: found["state"] == "rolled_back")
        assert "api_error_rate" in state["state_reason"]
        raise_alert(url, began, lasts=datetime.now(UTC) - began)
        (stored,) = eventually(lambda: received(served.url, admin), lambda found: found[0]["status"] == "resolved")
        assert (stored["response"], stored["deliveries"]) == ("rollback", 2)
        assert rollout(served.url, admin)["state"] == "rolled_back"


def test_an_alert_outlasts_an_outage_of_ours(installation: Installation, tmp_path: Path) -> None:
    service, admin = installation.token("service"), installation.token("admin")
    port = free_port()
    with alertmanager(tmp_path, f"http://127.0.0.1:{port}", service, group_interval="1s") as url:
        raise_alert(url, datetime.now(UTC))
        eventually(lambda: attempts(url), lambda found: found > 0)
        with serving(tmp_path, PORT=str(port)):
            found = eventually(
                lambda: rollout(f"http://127.0.0.1:{port}", admin), lambda found: found["state"] == "rolled_back"
            )
    assert found["state"] == "rolled_back"


def raise_alert(url: str, began: datetime, *, lasts: timedelta = timedelta(minutes=5)) -> None:
    """Tell Alertmanager of a critical alert, as Prometheus would."""
    alert = {
        "labels": {"alertname": "api_error_rate", "flag": FLAG, "severity": "critical"},
        "annotations": {"summary": "Requests fail"},
        "startsAt": began.isoformat(),
        "endsAt": (began + lasts).isoformat(),
    }
    ask(f"{url}/api/v2/alerts", [alert])


def attempts(url: str) -> float:
    """Count the deliveries to a webhook that Alertmanager tried and that failed."""
    lines = ask(f"{url}/metrics").decode().splitlines()
    name = 'alertmanager_notification_requests_failed_total{integration="webhook"}'
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name))


def rollout(url: str, token: str) -> dict[str, Any]:
    found = json.loads(ask(f"{url}/api/rollouts/{FLAG}", token=token))
    assert isinstance(found, dict)
    return found


def received(url: str, token: str) -> list[dict[str, Any]]:
    found = json.loads(ask(f"{url}/api/alerts/received", token=token))["alerts"]
    assert isinstance(found, list)
    return found


def ask(url: str, body: object = None, *, token: str = "") -> bytes:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=5) as answer:  # noqa: S310 - ours
        answered: bytes = answer.read()
    return answered


def eventually(look: Callable[[], Any], fits: Callable[[Any], Any]) -> Any:
    """Call `look` until its result fits and return that; fail the test when it never does."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    seen: Any = None
    while time.monotonic() < give_up:
        try:
            seen = look()
            if fits(seen):
                return seen
        except OSError as error:
            seen = error
        time.sleep(0.1)
    pytest.fail(f"It never came to that; last seen: {seen}")
