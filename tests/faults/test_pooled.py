"""Two servers behind PgBouncer in transaction mode: under load no error, whole books, one winner of each race."""

import json
import os
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
import requests
import yaml
from psycopg import sql
from sqlalchemy import make_url

from control_plane import rollouts
from control_plane.core.phases import Position
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import LIMITS, read_only, transaction
from control_plane.platform.runtime.leases import guard_expires_at
from control_plane.platform.settings import Settings
from control_plane.rollouts import store as rollout_store
from tests import postgres
from tests.applications import application
from tests.faults.ledger import assert_whole
from tests.faults.test_credits_killed import CreditClients, prepared
from tests.installation import REASON, Installation
from tests.pgbouncer import pgbouncer
from tests.serving import COMMAND, ROOT, Served, serving

pytestmark = pytest.mark.faults

SERVER_CONNECTIONS = "4"
"""Fewer than the servers' threads want, so each client meets the connections of all others."""
WAYS = (("consume",), ("reserve", "commit"))
ADVANCES = 4
SECRET = "the same secret for both of the servers here"
NOISE = ("job.failed", "change_feed.listen_lost", "PreparedStatement", "InvalidSqlStatementName")


@pytest.fixture
def installation(postgresql_url: str, tmp_path: Path) -> Iterator[Installation]:
    settings = Settings(database_url=postgresql_url, instance_dir=tmp_path, secret_key=SECRET, background=False)
    with application(settings) as app:
        installation = Installation(app)
        installation.plan()
        yield installation


@contextmanager
def pooled_addresses(url: str, connections: str = SERVER_CONNECTIONS) -> Iterator[dict[str, str]]:
    """Settings by which a program reaches the database through a small pooler, and directly."""
    with psycopg.connect(url, autocommit=True) as owner:
        for name, value in LIMITS.items():
            statement = sql.SQL("ALTER DATABASE {} SET {} = {}")
            owner.execute(statement.format(sql.Identifier(str(make_url(url).database)), sql.Identifier(name), value))
    with pgbouncer(url, pool_mode="transaction", default_pool_size=connections, max_client_conn="200") as pooled:
        yield {"DATABASE_URL": pooled, "DATABASE_DIRECT_URL": url, "SECRET_KEY": SECRET}


@contextmanager
def behind_pooler(url: str, folder: Path) -> Iterator[list[Served]]:
    """Yield two servers that reach the database by one small pooler."""
    alerts = yaml.safe_load((ROOT / "alerts.yaml").read_text())
    # How busy this machine is closes no gate.
    alerts["alerts"] = {name: each for name, each in alerts["alerts"].items() if "slow" not in name}
    (folder / "alerts.yaml").write_text(yaml.safe_dump(alerts))
    with pooled_addresses(url) as addresses, ExitStack() as servers:
        found = []
        for name in ("one", "other"):
            (folder / name).mkdir()
            settings = addresses | {"ALERTS_FILE": str(folder / "alerts.yaml")}
            found.append(servers.enter_context(serving(folder / name, **settings)))
        yield found


def test_consumptions_evaluations_and_advances_through_it(
    installation: Installation, postgresql_url: str, tmp_path: Path
) -> None:
    service, admin, sdk = prepared(installation.app), installation.token("admin"), installation.token("frontend")
    with behind_pooler(postgresql_url, tmp_path) as servers:
        groups = [CreditClients(served.url, service, WAYS) for served in servers]
        with ExitStack() as load:
            evaluations = [load.enter_context(evaluating(served, sdk)) for served in servers]
            for clients in groups:
                load.enter_context(clients)
            for _ in range(ADVANCES):
                assert sorted(advance_on_all(installation, servers, admin)) == [200, 409]
                for clients in groups:
                    clients.wait_for_more()
        logs = "".join(served.log.read_text() for served in servers)
    assert [each for clients in groups for each in clients.failures] == []
    assert all(answers and set(answers) == {200} for answers in evaluations)
    assert [word for word in NOISE if word in logs] == []
    one, other = (clients.answered for clients in groups)
    shared = one.keys() & other.keys()
    assert shared, "no key was given to both servers"
    assert {key: one[key] for key in shared} == {key: other[key] for key in shared}
    rows = assert_whole(installation.app)
    assert {row["operation_key"] for row in rows if row["charged"]["analysis"]} == one.keys() | other.keys()
    with installation.app.app_context(), read_only() as session:
        beat = guard_expires_at(session)
    assert beat is not None
    assert beat > datetime.now(UTC), "the guard beats through the pooler"


def test_an_operator_backs_up_and_restores_through_it_and_leaves_nothing_behind(
    installation: Installation, postgresql_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres.use_programs(monkeypatch)
    backup, reason = str(tmp_path / "one.backup"), ["--reason", REASON]
    commands = [
        ["db", "upgrade"],
        ["backup", backup],
        ["restore-test"],
        ["credits", "freeze", "--everybody", *reason],
        ["restore", backup, *reason],
        ["credits", "unfreeze", "--everybody", *reason],
        ["status"],
    ]
    # One connection to PostgreSQL: whoever comes next is given the one that the restore has used.
    with pooled_addresses(postgresql_url, connections="1") as addresses:
        environment = {"PATH": os.environ["PATH"], "INSTANCE_DIR": str(tmp_path)} | addresses
        for command in commands:
            done = subprocess.run([COMMAND, *command], env=environment, capture_output=True, text=True, check=False)
            assert done.returncode == 0, (command, done.stdout, done.stderr)
        changed = "SELECT name, setting FROM pg_settings WHERE source = 'session' AND name <> 'application_name'"
        with psycopg.connect(addresses["DATABASE_URL"]) as next_one, psycopg.connect(postgresql_url) as fresh:
            assert next_one.execute(changed).fetchall() == fresh.execute(changed).fetchall()


@contextmanager
def evaluating(served: Served, token: str) -> Iterator[list[int]]:
    """Ask one server for the flag again and again while the block lasts; gives the statuses of the answers."""
    statuses, ended = list[int](), threading.Event()

    def ask() -> None:
        body = json.dumps({"context": {"targetingKey": "u1"}}).encode()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        address = f"{served.url}/ofrep/v1/evaluate/flags/{FLAG}"
        while not ended.wait(0.01):
            sent = urllib.request.Request(address, body, headers)  # noqa: S310 - our own address
            with urllib.request.urlopen(sent, timeout=10) as response:  # noqa: S310
                statuses.append(response.status)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield statuses
    finally:
        ended.set()
        thread.join()


def advance_on_all(installation: Installation, servers: list[Served], token: str) -> list[int]:
    """Ask both servers at once for the same advance; what each answers."""
    version = begun_again(installation)
    barrier = threading.Barrier(len(servers))

    def advance(served: Served) -> int:
        barrier.wait()
        body = {"expectedVersion": version, "reason": REASON}
        headers = {"Authorization": f"Bearer {token}"}
        return requests.post(
            f"{served.url}/api/rollouts/{FLAG}/advance", json=body, headers=headers, timeout=30
        ).status_code

    with ThreadPoolExecutor() as pool:
        return list(pool.map(advance, servers))


def begun_again(installation: Installation) -> int:
    """Put the rollout back to its first step, whose soak time is over; returns its version."""
    with installation.app.app_context(), transaction() as session:
        found = rollouts.find(session, FLAG)
        at, version = datetime.now(UTC) - timedelta(days=60), found.version + 1
        after = replace(found, position=Position(0, 0), entered_at=at, version=version)
        assert rollout_store.compare_and_set(session, after, expected_version=found.version)
    return version
