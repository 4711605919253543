"""A rollout of the credits behind a real `rollout serve`: its users and its people come over HTTP, and it can break."""

import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import requests

from control_plane.core.phases import Position
from control_plane.experiments.credits import FLAG
from control_plane.platform.settings import Settings
from flags.store import UserAttributes
from tests.applications import application
from tests.faults.faulty_server import Faults
from tests.installation import Installation
from tests.serving import ROOT, SECRET_KEY, Served, serving

USERS = 400
HALF = Position(3, 2)
PER_SECOND = 50
LOOK_EVERY = 5
"""Operations between two looks at the state: the guard looks once a second."""
GUARD_SECONDS = 20.0
SERVER = (sys.executable, "-m", "tests.faults.faulty_server")


@dataclass
class ServedRollout:
    """A rollout as its callers meet it."""

    served: Served
    folder: Path
    installation: Installation
    service: str
    admin: str
    rng: random.Random
    keys: Iterator[int] = field(default_factory=count)
    statuses: Counter[int] = field(default_factory=Counter)
    session: requests.Session = field(default_factory=requests.Session)

    def order(self, faults: Faults) -> None:
        """Break the server like this, in place of what was broken before."""
        faults.write(self.folder)

    def ask(self, user: str, *, key: str | None = None, kind: str = "analysis", amount: int = 1) -> int:
        """Consume once; the status of the answer, 0 where there was none."""
        body = {"userId": user, "creditType": kind, "amount": amount}
        headers = {"Idempotency-Key": key or f"k{next(self.keys)}"}
        return self._status("POST", "/api/credits/consume", self.service, json=body, headers=headers)

    def read_status(self, user: str) -> int:
        """Read a user's credits; the status of the answer."""
        return self._status("GET", f"/api/user/credits/status?userId={user}", self.service)

    def ask_any(self, operations: int, *, users: int = USERS, per_second: float = PER_SECOND, **options: Any) -> int:
        """Consume for users at random until a rollback; after how many operations the guard acted first."""
        began, acted = time.monotonic(), operations
        for number in range(1, operations + 1):
            self.ask(f"u{self.rng.randrange(users)}", **options)
            if number % LOOK_EVERY == 0 and (state := self.state) != "running":
                acted = min(acted, number)
                if state == "rolled_back":
                    break
            time.sleep(max(0.0, began + number / per_second - time.monotonic()))
        return acted

    @property
    def state(self) -> str:
        """The state of the rollout, empty while nobody answers."""
        return str(self.get("/api/rollouts?limit=1").get("rollouts", [{}])[0].get("state", ""))

    @property
    def rollout(self) -> dict[str, Any]:
        """The rollout as the API has it."""
        return self.get(f"/api/rollouts/{FLAG}")

    @property
    def verdicts(self) -> list[dict[str, Any]]:
        """The guard's verdicts on all alerts."""
        found: list[dict[str, Any]] = self.get(f"/api/alerts/{FLAG}").get("verdicts", [])
        return found

    def verdict(self, alert: str) -> dict[str, Any]:
        """Return the guard's verdict on one alert."""
        return next(each for each in self.verdicts if each["alert"] == alert)

    def get(self, path: str) -> dict[str, Any]:
        """Return what the API answers a person at this address; nothing while it doesn't."""
        try:
            answer = self.session.get(f"{self.served.url}{path}", headers=_bearer(self.admin), timeout=20)
        except requests.RequestException:
            return {}
        found: dict[str, Any] = answer.json() if answer.ok else {}
        return found

    def post(self, path: str, body: dict[str, Any], token: str = "") -> requests.Response:
        """Return the answer to what a person, or this token, posts."""
        headers = _bearer(token or self.admin)
        return self.session.post(f"{self.served.url}{path}", json=body, headers=headers, timeout=20)

    def await_state(self, *states: str, seconds: float = GUARD_SECONDS) -> str:
        """Return the state of the rollout, once it is one of these or so long has passed."""
        give_up = time.monotonic() + seconds
        while (state := self.state) not in states and time.monotonic() < give_up:
            time.sleep(0.1)
        return state

    def settle(self, seconds: float = 2.5) -> None:
        """Let the guard look at what was counted."""
        time.sleep(seconds)

    def _status(self, method: str, path: str, token: str, **options: Any) -> int:
        headers = _bearer(token) | options.pop("headers", {})
        try:
            answer = self.session.request(method, f"{self.served.url}{path}", headers=headers, timeout=20, **options)
        except requests.RequestException:
            self.statuses[0] += 1
            return 0
        self.statuses[answer.status_code] += 1
        return answer.status_code


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@contextmanager
def served_rollout(
    *,
    plan: str = "plus",
    seed: int = 0,
    position: Position = HALF,
    database_url: str = "",
    more_alerts: str = "",
    **environment: str,
) -> Iterator[ServedRollout]:
    """Yield the rollout of an installation of its own at `position`; its alerts.yaml is a copy that may be changed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url = database_url or f"sqlite:///{folder / 'rollout.db'}"
        shipped = (ROOT / "alerts.yaml").read_text(encoding="utf-8")
        (folder / "alerts.yaml").write_text(shipped + more_alerts, encoding="utf-8")
        settings = Settings(database_url=url, instance_dir=folder, secret_key=SECRET_KEY, background=False)
        with application(settings) as app:
            installation = Installation(app)
            installation.plan()
            installation.move(position.phase, position.step)
            joined = datetime.now(UTC) - timedelta(days=90)
            installation.users(*(UserAttributes(f"u{number}", plan, joined) for number in range(USERS)))
            service, admin = (installation.token(kind) for kind in ("service", "admin"))
            defaults = {
                "DATABASE_URL": url,
                "SECRET_KEY": SECRET_KEY,
                "PYTHONPATH": str(ROOT),
                "ALERTS_FILE": str(folder / "alerts.yaml"),
            }
            with serving(folder, command=SERVER, **defaults | environment) as served:
                rollout = ServedRollout(served, folder, installation, service, admin, random.Random(seed))
                _await_guard(rollout)
                yield rollout


def _await_guard(rollout: ServedRollout) -> None:
    """Wait until v2 serves: before the guard's first heartbeat nobody is exposed."""
    give_up = time.monotonic() + GUARD_SECONDS
    while not rollout.verdicts and time.monotonic() < give_up:
        time.sleep(0.1)
