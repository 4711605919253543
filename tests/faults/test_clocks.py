"""Hosts whose clocks are five minutes off, as real processes: they lead, decide and store by the database's clock."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from sqlalchemy import select

from control_plane import rollouts
from control_plane.experiments.credits import FLAG
from control_plane.platform.auth import accounts
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.models import LeaseRow
from control_plane.platform.runtime.jobs import LEADER
from control_plane.platform.runtime.leases import GUARD
from control_plane.platform.settings import Settings
from control_plane.rollouts import store as rollout_store
from credits_engine.store.tables import JOURNAL
from flags.store import UserAttributes
from tests.applications import application
from tests.installation import REASON, Installation
from tests.programs import path_of
from tests.serving import Served, serving

pytestmark = pytest.mark.faults

AHEAD, BEHIND = timedelta(minutes=5), timedelta(minutes=-5)
PATIENCE_SECONDS = 60
SECRET = "the same secret on both of these hosts"
BEATS = timedelta(seconds=3)
"""Some heartbeats."""
HALF = timedelta(minutes=2)
"""So long may a test take before a host that is five minutes off and one that is right look alike."""


@pytest.fixture
def installation(postgresql_url: str, tmp_path: Path) -> Iterator[Installation]:
    settings = Settings(database_url=postgresql_url, instance_dir=tmp_path, secret_key="-", background=False)
    with application(settings) as app:
        installation = Installation(app)
        installation.plan()
        yield installation


@contextmanager
def host(folder: Path, url: str, apart: timedelta) -> Iterator[Served]:
    """Yield a server on a host whose clock is `apart` from ours, until another difference is in its `apart` file."""
    folder.mkdir()
    set_clock(folder, apart)
    path_of("faketime")
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    shifted = {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(folder / "apart"),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    workers: list[int] = []
    try:
        with serving(folder, DATABASE_URL=url, SECRET_KEY=SECRET, **shifted) as served:
            try:
                yield served
            finally:
                workers += _children(served.process.pid)
    finally:
        # With the library in it a `time.sleep` of the first process may fail, and it leaves without its workers.
        for worker in workers:
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)


def set_clock(folder: Path, apart: timedelta) -> None:
    """Let the clock of that host be `apart` from ours from now on."""
    new = folder / "apart.new"
    new.write_text(f"{apart.total_seconds():+.0f}s")
    new.replace(folder / "apart")


def _children(process: int) -> list[int]:
    with suppress(OSError):
        return [int(each) for each in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    return []


def test_the_clock_of_such_a_host_is_off(tmp_path: Path) -> None:
    """The other tests stand on it."""
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    path_of("faketime")
    found = subprocess.run(
        ["date", "+%s"], env={"LD_PRELOAD": str(library), "FAKETIME": "+300s"}, capture_output=True, check=True
    )
    assert int(found.stdout) - time.time() > HALF.total_seconds()


@pytest.mark.parametrize("apart", [AHEAD, BEHIND])
def test_the_lead_of_such_a_host_ends_soon_after_its_death(
    installation: Installation, postgresql_url: str, tmp_path: Path, apart: timedelta
) -> None:
    with host(tmp_path / "off", postgresql_url, apart) as off:
        until(lambda: lease(installation, GUARD) is not None)
        first, beat = lease(installation, LEADER), lease(installation, GUARD)
        assert first is not None
        assert beat is not None
        assert abs(first.expires_at - datetime.now(UTC)) < HALF
        assert abs(beat.expires_at - datetime.now(UTC)) < HALF
        with serving(tmp_path, DATABASE_URL=postgresql_url):
            kill(off.process.pid)
            until(lambda: holder(installation) != first.holder)
            until(lambda: lease(installation, GUARD).term > first.term)  # type: ignore[union-attr]


def test_a_host_that_is_set_while_it_serves_leads_on(
    installation: Installation, postgresql_url: str, tmp_path: Path
) -> None:
    with host(tmp_path / "off", postgresql_url, timedelta()):
        until(lambda: lease(installation, GUARD) is not None)
        first = holder(installation)
        for apart in (AHEAD, BEHIND):
            set_clock(tmp_path / "off", apart)
            later = beat_until(installation) + BEATS
            until(lambda later=later: beat_until(installation) > later)  # type: ignore[misc]
            found = lease(installation, LEADER)
            assert found is not None
            assert found.holder == first
            assert abs(found.expires_at - datetime.now(UTC)) < HALF
            assert abs(beat_until(installation) - datetime.now(UTC)) < HALF


@pytest.mark.parametrize(("apart", "soaked"), [(AHEAD, -HALF), (BEHIND, HALF)])
def test_such_a_host_decides_and_stores_by_the_database_s_clock(
    installation: Installation, postgresql_url: str, tmp_path: Path, apart: timedelta, soaked: timedelta
) -> None:
    is_over = soaked > timedelta(0)
    entered(installation, soaked)
    installation.users(UserAttributes(user_id="ada", plan="free", signed_up_at=datetime.now(UTC)))
    admin, service = ({"Authorization": f"Bearer {installation.token(kind)}"} for kind in ("admin", "service"))
    with host(tmp_path / "off", postgresql_url, apart) as off:
        document = requests.get(f"{off.url}/api/rollouts/{FLAG}", headers=admin, timeout=30).json()
        body = {"expectedVersion": document["version"], "reason": REASON}
        advance = requests.post(f"{off.url}/api/rollouts/{FLAG}/advance", json=body, headers=admin, timeout=30)
        assert advance.status_code == (200 if is_over else 409), advance.text
        assert ("The soak time of this step lasts" not in advance.text) == is_over
        operation = {"userId": "ada", "analysis": 1}
        key = {"Idempotency-Key": "k1"}
        taken = requests.post(f"{off.url}/api/credits/consume", json=operation, headers=service | key, timeout=30)
        assert taken.status_code == 200, taken.text
    with installation.app.app_context(), read_only() as session:
        occurred = session.scalars(select(JOURNAL.c.occurred_at)).one()
    assert abs(occurred - datetime.now(UTC)) < HALF


def test_who_signs_in_at_a_host_that_is_ahead_is_known_at_the_others(
    installation: Installation, postgresql_url: str, tmp_path: Path
) -> None:
    with installation.app.app_context(), transaction() as session:
        password = accounts.add_person(session, "ada", "viewer", now=datetime.now(UTC))
    with (
        host(tmp_path / "off", postgresql_url, AHEAD) as off,
        serving(tmp_path, DATABASE_URL=postgresql_url, SECRET_KEY=SECRET) as right,
        requests.Session() as browser,
    ):
        form = {"username": "ada", "password": password}
        answer = browser.post(f"{off.url}/sign-in", data=form, headers={"Origin": off.url}, timeout=30)
        assert answer.url != f"{off.url}/sign-in", answer.text
        assert browser.get(f"{right.url}/account", allow_redirects=False, timeout=30).status_code == 200


def entered(installation: Installation, soaked: timedelta) -> None:
    """Let the rollout have entered its step so that its soak time has been over for `soaked`."""
    with installation.app.app_context(), transaction() as session:
        found = rollouts.find(session, FLAG)
        at = datetime.now(UTC) - found.phase.soak - soaked
        after = replace(found, entered_at=at, version=found.version + 1)
        assert rollout_store.compare_and_set(session, after, expected_version=found.version)


def lease(installation: Installation, name: str) -> LeaseRow | None:
    with installation.app.app_context(), read_only() as session:
        return session.get(LeaseRow, name)


def beat_until(installation: Installation) -> datetime:
    """Return until when the guard's last heartbeat counts."""
    found = lease(installation, GUARD)
    assert found is not None
    return found.expires_at


def holder(installation: Installation) -> str:
    found = lease(installation, LEADER)
    return found.holder if found else ""


def kill(server: int) -> None:
    """End a server and its workers as a power cut does."""
    children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
    for pid in (server, *map(int, children)):
        with suppress(ProcessLookupError):  # the command server ends with the server
            os.kill(pid, signal.SIGKILL)


def until(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.1)
