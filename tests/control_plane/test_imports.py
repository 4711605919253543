"""What a command loads: each heavy part is loaded by who uses it, or every command takes as long as the slowest."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.control_plane.conftest import ROOT, Run

UNUSED = {
    "alembic": "there is nothing to upgrade",
    "apprise": "nothing is sent",
    "apscheduler": "nothing runs on a schedule",
    "authlib": "nobody signs in",
    "dashboards": "there are no pages",
    "granian": "nothing is served",
    "mcp": "no assistant asks",
    "opentelemetry": "nothing is traced",
    "requests": "nothing is asked of others",
    "stripe": "nothing is billed",
    "alerts.cli": "it is another package's command",
    "credits_engine.cli": "it is another package's command",
    "flags.cli": "it is another package's command",
    "control_plane.gateway": "nothing is served",
    "control_plane.server": "nothing is served",
}
RARE = {
    "authlib": "nobody signs in by a provider",
    "cryptography": "nothing is sealed or proved",
    "fido2": "nobody shows a passkey",
    "jwt": "no user of the product asks",
    "segno": "no picture is drawn",
}
"""Memory of each worker, which most installations need never."""
READING = (
    ("status",),
    ("audit", "verify"),
    ("token", "list"),
    ("account", "list"),
    ("plan", "export"),
)
PROGRAM = """
import json, sys
from control_plane.__main__ import main
try:
    main()
except SystemExit as ended:
    assert ended.code == 0, ended.code
print(json.dumps(sorted(sys.modules)))
"""


SERVER = """
import json, sys
from control_plane.app import create_app
create_app()
import control_plane.server
print(json.dumps(sorted(sys.modules)))
"""


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_a_command_that_only_reads_loads_nothing_that_it_does_not_use(
    rollout: Run, console: dict[str, str], command: tuple[str, ...], tmp_path: Path
) -> None:
    assert rollout("plan").returncode == 0
    loaded = _modules(console, command, tmp_path)
    assert "control_plane.rollouts.cli" in loaded
    assert sorted(loaded & UNUSED.keys()) == []


def test_a_command_of_a_package_is_found_though_nothing_of_it_was_loaded(
    rollout: Run, console: dict[str, str], tmp_path: Path
) -> None:
    assert rollout("plan").returncode == 0
    loaded = _modules(console, ("flags", "list"), tmp_path)
    assert {"flags.cli", "credits_engine.cli", "alerts.cli"} <= loaded, "they extend each other's groups"


def test_a_worker_loads_what_few_people_need_when_they_need_it(
    rollout: Run, console: dict[str, str], tmp_path: Path
) -> None:
    assert rollout("plan").returncode == 0
    loaded = _modules(console, (), tmp_path, program=SERVER)
    assert "dashboards.views.account" in loaded
    assert sorted(loaded & RARE.keys()) == []


def _modules(console: dict[str, str], command: tuple[str, ...], folder: Path, *, program: str = PROGRAM) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", program, *command],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)} | console,
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return set(found)
