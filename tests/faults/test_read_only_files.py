"""The commands of an emergency on a host whose file systems can't be written, as those of containers often are."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.faults

ROOT = Path(__file__).parents[2]
UNSHARE = ("unshare", "--map-root-user", "--mount")
READ_ONLY = """
for place in $(findmnt --raw --noheadings --output TARGET); do mount -o remount,bind,ro "$place" 2>/dev/null; done
if touch probe 2>/dev/null || touch /tmp/probe 2>/dev/null; then echo "It can be written." >&2; exit 99; fi
exec "$@"
"""
"""Makes every mount read only, in a namespace of its own, and then runs its arguments."""

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def command(tmp_path: Path, postgresql_url: str) -> Command:
    """`command("status")` in a folder with the key of an installation; without `within`, as on its own host."""
    try:
        subprocess.run([*UNSHARE, "findmnt", "/"], check=True, capture_output=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("unshare gives no mounts of our own here.")
    settings = {
        "PATH": os.defpath,
        "PYTHONPATH": str(ROOT),
        "DATABASE_URL": postgresql_url,
        "INSTANCE_DIR": str(tmp_path),
        "ALERTS_FILE": str(ROOT / "alerts.yaml"),
    }
    (tmp_path / "secret_key").write_text("a key of more than thirty-two characters")
    (tmp_path / "secret_key").chmod(0o600)

    def run(
        *arguments: str, within: tuple[str, ...] = (*UNSHARE, "sh", "-c", READ_ONLY, "sh")
    ) -> subprocess.CompletedProcess[str]:
        program = [*within, sys.executable, "-m", "control_plane", *arguments]
        return subprocess.run(program, env=settings, cwd=tmp_path, check=False, capture_output=True, text=True)

    return run


def test_a_rollback_a_stop_and_a_look_at_the_trail_need_no_file_that_can_be_written(
    command: Command, tmp_path: Path
) -> None:
    made = command("plan", within=())
    assert made.returncode == 0, made.stderr
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for arguments, said in {
        ("status",): "running since",
        ("rollback", "--everywhere", "--reason", "v2 is wrong."): "rolled back since",
        ("credits", "freeze", "--everybody", "--reason", "v2 is wrong."): "Consumption is stopped for everybody",
        ("audit", "verify"): "every one as it was written",
    }.items():
        done = command(*arguments)
        assert (done.returncode, done.stderr) == (0, "")
        assert said in done.stdout
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
