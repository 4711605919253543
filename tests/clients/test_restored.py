"""SDKs that were stopped while the database was put back give up what they hold of a time that never was."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from control_plane.change_context import ChangeContext
from control_plane.platform.db.database import transaction
from control_plane.platform.settings import Settings
from flags import client
from flags.administration import definitions
from flags.client import Flags
from tests.applications import application
from tests.installation import Installation
from tests.processes import free_port
from tests.serving import serving

pytestmark = pytest.mark.faults

Wait = Callable[[Callable[[], bool]], None]


@pytest.fixture
def settings(sqlite_template: Path, tmp_path: Path) -> Settings:
    shutil.copy(sqlite_template, tmp_path / "rollout.db")
    return Settings(
        database_url=f"sqlite:///{tmp_path / 'rollout.db'}", instance_dir=tmp_path, secret_key="-", background=False
    )


def make_flags(settings: Settings, *names: str) -> str:
    """Make flags that are on in production, and a token to ask for them."""
    with application(settings) as app:
        for name in names:
            with app.app_context(), transaction() as session:
                change = ChangeContext(datetime.now(UTC), "test")
                definitions.create_flag(session, name, {"production": True}, change)
        return Installation(app).token("client")


def test_an_sdk_that_was_stopped_over_a_restore_is_given_everything_anew(
    settings: Settings, tmp_path: Path, eventually: Wait
) -> None:
    port = str(free_port())
    token = make_flags(settings, "before")
    shutil.copy(tmp_path / "rollout.db", tmp_path / "kept.db")
    make_flags(settings, "since")

    def connect() -> Flags:
        return client.connect(f"http://127.0.0.1:{port}", token, cache_dir=tmp_path / "cache")

    with serving(tmp_path, PORT=port):
        flags = connect()
        eventually(lambda: flags.is_enabled("since"))
        eventually(lambda: any((tmp_path / "cache").rglob("*")))
        flags.close()
    shutil.copy(tmp_path / "kept.db", tmp_path / "rollout.db")
    for name in ("rollout.db-wal", "rollout.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    make_flags(settings, "instead")
    with serving(tmp_path, PORT=port):
        flags = connect()
        eventually(lambda: flags.is_enabled("instead"))
        assert flags.is_enabled("before")
        assert not flags.is_enabled("since"), "a flag of a time that never was"
        flags.close()


def test_an_sdk_that_runs_on_over_a_restore_is_given_everything_anew(
    settings: Settings, tmp_path: Path, eventually: Wait
) -> None:
    port = str(free_port())
    token = make_flags(settings, "before")
    shutil.copy(tmp_path / "rollout.db", tmp_path / "kept.db")
    make_flags(settings, "since")
    with serving(tmp_path, PORT=port):
        flags = client.connect(f"http://127.0.0.1:{port}", token, cache_dir=tmp_path / "cache")
        eventually(lambda: flags.is_enabled("since"))
    shutil.copy(tmp_path / "kept.db", tmp_path / "rollout.db")
    for name in ("rollout.db-wal", "rollout.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    make_flags(settings, "instead")
    with serving(tmp_path, PORT=port):
        eventually(lambda: flags.is_enabled("instead"))
        assert not flags.is_enabled("since"), "a flag of a time that never was"
    flags.close()
