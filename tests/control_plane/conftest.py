"""The command line, in this process and in one of its own."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from control_plane.__main__ import main

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The result of a command: its return code and its output."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., CommandResult]


@pytest.fixture
def console(tmp_path: Path, sqlite_url: str) -> dict[str, str]:
    """The settings of a terminal with a database of its own."""
    return {
        "INSTANCE_DIR": str(tmp_path),
        "DATABASE_URL": sqlite_url,
        "ALERTS_FILE": str(ROOT / "alerts.yaml"),
        "SECRET_KEY": "a key for the tests of the command line",
    }


@pytest.fixture
def rollout(console: dict[str, str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """`rollout …` in this process: to start a new one costs far more than most commands."""

    def run(*arguments: str, **environment: str) -> CommandResult:
        with monkeypatch.context() as patch:
            patch.chdir(console["INSTANCE_DIR"])
            patch.setattr(sys, "argv", ["rollout", *arguments])
            for name, value in (console | environment).items():
                patch.setenv(name, value)
            capfd.readouterr()
            with pytest.raises(SystemExit) as ended:
                main()
        assert isinstance(ended.value.code, int)
        return CommandResult(ended.value.code, *capfd.readouterr())

    return run


@pytest.fixture
def program(console: dict[str, str]) -> Run:
    """`rollout …` in a process of its own."""

    def run(*arguments: str, **environment: str) -> CommandResult:
        done = subprocess.run(
            [sys.executable, "-m", "control_plane", *arguments],
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)} | console | environment,
            capture_output=True,
            text=True,
            check=False,
            cwd=console["INSTANCE_DIR"],
            timeout=60,
        )
        return CommandResult(done.returncode, done.stdout, done.stderr)

    return run
