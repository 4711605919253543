"""PostgreSQL is brought back to an instant by its own archive, and opened again as docs/operations.md says."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from control_plane import rollouts
from control_plane.core.default_plan import default_plan
from control_plane.core.phases import RolloutState
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import read_only
from control_plane.platform.settings import Settings
from credits_engine.engines.amounts import Amounts
from credits_engine.operations import execution
from credits_engine.operations.consumption import Operation
from tests import postgres
from tests.applications import application
from tests.faults.crashable_server import CrashableServer, crashable
from tests.faults.ledger import assert_whole
from tests.faults.test_credits_killed import prepared
from tests.installation import CUTOVER, Installation
from tests.serving import COMMAND, ROOT
from tests.waiting import wait_until

pytestmark = pytest.mark.faults

EVERYONE = len(default_plan(CUTOVER).phases) - 1


@pytest.fixture
def server() -> Iterator[CrashableServer]:
    """A server that archives its log in `archive` beside its data."""
    with crashable() as found:
        folder = found.data.with_name("archive")
        folder.mkdir(mode=0o777)
        folder.chmod(0o777)
        with psycopg.connect(found.url, autocommit=True) as owner:
            owner.execute("ALTER SYSTEM SET archive_mode = 'on'")
            owner.execute(f"ALTER SYSTEM SET archive_command = 'cp %p {folder}/%f'")
        found.kill()
        found.start()
        yield found


def test_what_was_committed_by_then_is_there_and_nothing_is_open_before_a_person_says_so(
    server: CrashableServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(database_url=server.url, instance_dir=tmp_path, secret_key="-", background=False)
    with application(settings) as app:
        installation = Installation(app)
        installation.plan()
        prepared(app)
        installation.move(EVERYONE)
        base = based(server)
        with app.app_context():
            execution.run_operation(Operation("u0", "before", Amounts(analysis=1)), now=datetime.now(UTC))
            instant = at(server)
            execution.run_operation(Operation("u0", "after", Amounts(analysis=1)), now=datetime.now(UTC))
        installation.roll_back()
    bring_back(server, base, instant)
    environment = {"PATH": os.environ["PATH"], "DATABASE_URL": server.url, "INSTANCE_DIR": str(tmp_path)}
    for command in commands():
        done = subprocess.run([COMMAND, *command], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
    with application(settings) as app:
        keys = [row["operation_key"] for row in assert_whole(app) if row["type"] == "consume"]
        assert keys == ["before"]
        with app.app_context(), read_only() as session:
            assert rollouts.find(session, FLAG).state is RolloutState.ROLLED_BACK


def commands() -> list[list[str]]:
    """Return the commands of the page, each without its program."""
    _, _, section = (ROOT / "docs/operations.md").read_text().partition("### To a point in time")
    return [shlex.split(line)[1:] for line in section.split("```")[1].splitlines() if line]


def based(server: CrashableServer) -> Path:
    """Copy the server's data while it runs."""
    base = server.data.with_name("base")
    command: list[Path | str] = [server.programs / "pg_basebackup", f"--dbname={server.url}", "--pgdata", base]
    assert postgres._run([*command, "--checkpoint=fast"], server.log, server.user).wait() == 0
    return base


def at(server: CrashableServer) -> str:
    """Return an instant after all that was committed so far."""
    with psycopg.connect(server.url, autocommit=True) as owner:
        (found,) = owner.execute("SELECT clock_timestamp()::text FROM pg_sleep(0.05)").fetchone() or ("",)
        owner.execute("SELECT pg_sleep(0.05)")
    return str(found)


def bring_back(server: CrashableServer, base: Path, instant: str) -> None:
    """Start the server from `base` and its archive up to `instant`, at the same address."""
    with psycopg.connect(server.url, autocommit=True) as owner:
        (last,) = owner.execute("SELECT pg_walfile_name(pg_switch_wal())").fetchone() or ("",)
    archive = server.data.with_name("archive")
    wait_until((archive / last).exists)
    server.kill()
    with (base / "postgresql.auto.conf").open("a") as settings:
        settings.write(f"restore_command = 'cp {archive}/%f %p'\n")
        settings.write(f"recovery_target_time = '{instant}'\nrecovery_target_action = 'promote'\n")
    shutil.copy(base / "PG_VERSION", base / "recovery.signal")
    server.data = base
    server.start()
