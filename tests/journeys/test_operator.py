"""An operator's journey: from two wheels and empty folders to production, through an upgrade, a failover, a disaster.

`long` puts more load between the steps, and replaces the servers several times.
"""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from control_plane import migrations
from control_plane.experiments.credits import FLAG
from tests import postgres
from tests.faults.next_version import NEXT_VERSION
from tests.faults.test_credits_killed import CLIENTS, CreditClients
from tests.journeys.production import Browser, Production, lost, production
from tests.monitoring import alertmanager, prometheus
from tests.nginx import Proxy
from tests.wheels import build, install

pytestmark = pytest.mark.faults

REASON = ["--reason", "For the journey."]
NEXT = "0.2.0"
PAUSE_SECONDS = 0.15
"""Of each client: together they stay below the 200 requests a second that the shipped nginx lets through."""
AWAY_SECONDS = 2.0
PATIENCE_SECONDS = 90
EVERYONE = {"name": "everyone", "title": "Everyone", "audience": "everyone", "steps": [100], "soak": "PT1H"}
RULES = f"""
groups:
- name: edge
  rules:
  - alert: api_error_rate
    expr: sum(guard_bad_outcomes_total{{signal="checkout"}}) > 0
    labels: {{flag: {FLAG}, severity: critical}}
    annotations: {{summary: Checkouts fail.}}
"""


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """This version, and a next one whose schema has more."""
    migration = NEXT_VERSION.format(newest=migrations.head()).replace("'", '"')
    wanted: list[dict[str, Any]] = [{}, {"version": NEXT, "migration": migration}]
    folders = [tmp_path_factory.mktemp("wheel") for _ in wanted]

    def made(folder: Path, options: dict[str, Any]) -> Path:
        return install(build(folder, **options), folder / "venv")

    with ThreadPoolExecutor() as pool:
        one, other = pool.map(made, folders, wanted)
    return one, other


@pytest.mark.parametrize("rounds", [1, pytest.param(10, marks=pytest.mark.long)])
def test_from_nothing_through_upgrade_failover_and_disaster(
    programs: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rounds: int
) -> None:
    postgres.use_programs(monkeypatch)
    backup = str(tmp_path / "before.backup")
    with ExitStack() as stack:
        installation = stack.enter_context(production(tmp_path, programs[0]))
        password = installed(installation)
        proxy = stack.enter_context(installation.front())
        monkeypatch.setenv("SSL_CERT_FILE", str(proxy.certificate))
        olga, service = Browser(proxy, "olga", password), installation.token("shop", "service")
        stack.enter_context(watched(installation, service))
        begin(olga)
        clients = CreditClients(proxy.url, service, pause_seconds=PAUSE_SECONDS)
        with clients:
            waited(clients, rounds)
            assert serving_engine(proxy, service, "before") == "v2"
            kept = dict(clients.answered)
            installation.rollout("backup", backup)
            report_failures(proxy, service)
            eventually(lambda: olga.ask("GET", f"/rollouts/{FLAG}")["state"] == "rolled_back")
            assert "api_error_rate" in olga.ask("GET", f"/rollouts/{FLAG}")["state_reason"]
            assert serving_engine(proxy, service, "after") == "legacy"
            for _ in range(rounds):
                upgrade(installation, programs[1], clients)
            assert clients.failures == []
            assert olga.ask("GET", f"/rollouts/{FLAG}")["state"] == "rolled_back"
            fail_over(installation, clients)
            waited(clients, rounds)
        extra = {"before", "after"}
        stored = [row for row in installation.journal() if row[0] not in extra]
        assert lost(clients.answered, [*clients.open], stored) == {"missing": [], "twice": [], "unknown": []}
        installation.rollout("credits", "verify")
        installation.lose_database()
        restore(installation, backup)
        assert kept.items() <= dict(installation.journal()).items()
        assert "rolled back" in installation.rollout("status")
        eventually(lambda: is_served(proxy))
        with pytest.raises(AssertionError, match="UNAUTHENTICATED"):
            olga.ask("GET", f"/rollouts/{FLAG}")
        assert Browser(proxy, "olga", password).ask("GET", f"/rollouts/{FLAG}")["state"] == "rolled_back"
        eventually(lambda: serving_engine(proxy, service, "restored") == "legacy")


def installed(installation: Production) -> str:
    """Make the schema, a first admin and both servers; returns the admin's password."""
    assert installation.rollout("--version") == "rollout 0.1.0\n"
    assert f"at version {migrations.head()}" in installation.rollout("db", "upgrade")
    added = installation.rollout("account", "add", "olga", "--role", "admin", "--json")
    users = installation.folder / "users.csv"
    rows = [f"u{number},custom,2026-01-01T00:00:00Z,false" for number in range(CLIENTS)]
    users.write_text("\n".join(["user_id,plan,signed_up_at,beta", *rows]))
    for port in installation.ports:
        installation.start(port)
    installation.rollout("directory", "import", str(users))
    password: str = json.loads(added)["password"]
    return password


@contextmanager
def watched(installation: Production, token: str) -> Iterator[None]:
    """Prometheus asks both servers, and tells Alertmanager, which tells one of them."""
    rules = installation.folder / "shop.yml"
    rules.write_text(RULES)
    servers = [f"127.0.0.1:{port}" for port in installation.ports]
    with (
        alertmanager(installation.folder, f"http://{servers[0]}", token) as told,
        prometheus(installation.folder, servers, told, token, rules=[rules]),
    ):
        yield


def begin(olga: Browser) -> None:
    """Plan a rollout and open it to everyone."""
    found = olga.ask("GET", f"/rollouts/{FLAG}")
    plan = olga.ask("GET", f"/rollouts/{FLAG}/plan")["plan"]
    changed = plan | {"phases": [plan["phases"][0] | {"soak": "PT0S"}, EVERYONE], "checklists": []}
    olga.ask("PUT", f"/rollouts/{FLAG}/plan", plan=changed, expectedVersion=found["version"], reason="Shorter.")
    version = olga.ask("GET", f"/rollouts/{FLAG}")["version"]
    moved = olga.ask("POST", f"/rollouts/{FLAG}/advance", expectedVersion=version, reason="Looked at.")
    assert (moved["percentage"], moved["state"]) == (100, "running")


def waited(clients: CreditClients, rounds: int) -> None:
    for _ in range(rounds):
        clients.wait_for_more()


def serving_engine(proxy: Proxy, token: str, key: str) -> str:
    """Return the engine that serves an operation through the proxy."""
    answer = requests.post(
        f"{proxy.url}/api/credits/consume",
        json={"userId": "u0", "creditType": "roast", "amount": 1},
        headers={"Authorization": token, "Idempotency-Key": key},
        verify=str(proxy.certificate),
        timeout=20,
    )
    assert answer.ok, answer.text
    engine: str = answer.json()["engine"]
    return engine


def report_failures(proxy: Proxy, token: str) -> None:
    """Report as another service that what it does by the flag fails."""
    answer = requests.post(
        f"{proxy.url}/api/signals",
        json={"batchId": "journey-1", "signals": [{"name": "checkout", "bad": 5, "total": 10}]},
        headers={"Authorization": token},
        verify=str(proxy.certificate),
        timeout=20,
    )
    assert answer.status_code == 202, answer.text


def upgrade(installation: Production, program: Path, clients: CreditClients) -> None:
    """Bring the schema up, then replace one server after the other."""
    installation.program = program
    assert installation.rollout("--version") == f"rollout {NEXT}\n"
    assert "at version 9998" in installation.rollout("db", "upgrade")
    for port in installation.ports:
        clients.wait_for_more()
        installation.stop(port)
        clients.wait_for_more()
        installation.start(port)
    clients.wait_for_more()


def fail_over(installation: Production, clients: CreditClients) -> None:
    """Kill the primary under load, and promote the replica."""
    installation.pair.primary.kill()
    time.sleep(AWAY_SECONDS)
    began = time.monotonic()
    installation.promote()
    known = len(clients.answered)
    eventually(lambda: len(clients.answered) > known)
    print(f"answered again {time.monotonic() - began:.2f} s after the promotion began")  # noqa: T201


def restore(installation: Production, backup: str) -> None:
    """Do what docs/operations.md says about an empty database."""
    installation.rollout("db", "upgrade")
    installation.rollout("credits", "freeze", "--everybody", *REASON)
    installation.rollout("restore", backup, *REASON)
    installation.rollout("credits", "backfill")
    installation.rollout("credits", "verify")
    installation.rollout("audit", "verify")
    installation.rollout("credits", "unfreeze", "--everybody", *REASON)


def is_served(proxy: Proxy) -> bool:
    """Return whether a server is ready by itself, without a restart."""
    return proxy.get("/readyz").status_code == 200


def eventually(fits: Callable[[], bool]) -> None:
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not fits():
        assert time.monotonic() < give_up
        time.sleep(0.1)
