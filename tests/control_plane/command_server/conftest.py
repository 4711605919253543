"""A command server in a process of its own, and the `rollout` command beside it."""

import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from control_plane.command_server import wire
from tests.control_plane.conftest import ROOT, CommandResult
from tests.processes import dies_with_us

SERVER = """
import os, sys
from control_plane import cli
from control_plane.command_server import server, wire
{patch}
os.umask(0o077)
server.start(wire.address(os.environ), cli.run)
print("started", flush=True)
sys.stdin.read()
"""
CLIENT = """
import sys
from control_plane.__main__ import main
from control_plane.command_server import wire
{patch}
try:
    main()
finally:
    print("here" if "sqlalchemy" in sys.modules else "in the server", file=sys.stderr)
"""
Environment = dict[str, str]


@dataclass(frozen=True, slots=True)
class Commands:
    """Run `rollout` in the environment of one terminal."""

    environment: Environment
    folder: Path
    patch: str = ""
    """Python that a command runs before it begins."""

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start a command and return its process; the last line of its errors says where the command ran."""
        return subprocess.Popen(
            [sys.executable, "-c", CLIENT.format(patch=self.patch), *arguments],
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
        )

    def run(self, *arguments: str, **environment: str) -> tuple[CommandResult, str]:
        """Return how a command ended and where it ran."""
        with self.start(*arguments, **environment) as process:
            output, errors = process.communicate(timeout=60)
        *lines, place = errors.splitlines()
        return CommandResult(process.returncode, output, "\n".join(lines)), place


@pytest.fixture(scope="module")
def instance_dir() -> Iterator[Path]:
    """A folder with a path short enough for a socket, which pytest's own is not."""
    with tempfile.TemporaryDirectory(prefix="rollout-") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def server_environment(instance_dir: Path) -> Environment:
    """The environment of a server for the folder."""
    return {"INSTANCE_DIR": str(instance_dir), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}


@pytest.fixture
def commands(server_environment: Environment, sqlite_url: str, tmp_path: Path) -> Commands:
    """A terminal in a folder of its own, with a database of its own, in the installation of the server."""
    settings = {
        "DATABASE_URL": sqlite_url,
        "ALERTS_FILE": str(ROOT / "alerts.yaml"),
        "SECRET_KEY": "a key for the tests of the command line",
    }
    return Commands(server_environment | settings, tmp_path)


@contextmanager
def command_server(environment: Environment, patch: str = "") -> Iterator[subprocess.Popen[str]]:
    """Run a command server while the block lasts; `patch` is Python that it runs before it starts."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER.format(patch=patch)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd="/",
        preexec_fn=dies_with_us(signal.SIGTERM),  # noqa: PLW1509 - no thread of ours forks at this moment
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        yield process
        process.stdin.close()


@pytest.fixture(scope="module")
def running(server_environment: Environment) -> Iterator[subprocess.Popen[str]]:
    """A command server that lasts for the tests of a module."""
    with command_server(server_environment) as process:
        yield process


@pytest.fixture
def socket_path(server_environment: Environment) -> Path:
    """The path at which the command server of the folder listens."""
    return wire.address(server_environment)
