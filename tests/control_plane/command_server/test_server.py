"""Commands that the command server runs are those that the caller's own process would run."""

import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import make_url

from tests.control_plane.command_server.conftest import Commands
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("running")

COMMANDS = (
    ("status",),
    ("status", "--json"),
    ("status", "--flag", "NO_SUCH_FLAG"),
    ("advance",),
    ("no-such-command",),
    ("hold",),
    ("audit", "verify"),
    ("flag", "--help"),
    ("--version",),
)


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_command_answers_as_it_would_in_its_own_process(
    commands: Commands, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    commands.run("plan")
    in_server = commands.run(*arguments)
    own_process = commands.run(*arguments, INSTANCE_DIR=str(tmp_path))
    assert (in_server[1], own_process[1]) == ("in the server", "here")
    assert in_server[0] == own_process[0]


def test_a_command_works_in_the_folder_and_the_database_of_its_caller(commands: Commands, tmp_path: Path) -> None:
    commands.run("plan")
    (done, place) = commands.run("plan", "export", "--output", "café.yaml", LANG="C.UTF-8")
    assert (done.returncode, place) == (0, "in the server"), done.stderr
    assert "Development and staging" in (tmp_path / "café.yaml").read_text()


def test_a_change_is_the_caller_s_in_the_audit(commands: Commands) -> None:
    commands.run("plan", LOGNAME="ann")
    (done, place) = commands.run("hold", "--reason", "Waiting for the load test.", LOGNAME="ann")
    (trail, _) = commands.run("audit", "export")
    assert (done.returncode, place) == (0, "in the server"), done.stderr
    assert "ann" in trail.stdout.splitlines()[-1]


def test_output_that_nobody_reads_any_more_is_no_failure_of_the_server(commands: Commands) -> None:
    process = commands.start("--help")
    assert process.stdout is not None
    process.stdout.close()
    process.wait(60)
    assert commands.run("--version")[1] == "in the server"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_command_ends_with_its_client(commands: Commands, sqlite_url: str, number: signal.Signals) -> None:
    commands.run("plan")
    with closing(sqlite3.connect(make_url(sqlite_url).database or "", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = commands.start("rollback", "--reason", "v2 is wrong.")
        assert waiting.stderr is not None
        assert "Waiting." in waiting.stderr.readline()
        waiting.send_signal(number)
        _, errors = waiting.communicate(timeout=60)
        if number is not signal.SIGKILL:
            assert (waiting.returncode, "Aborted!" in errors) == (1, True)
        wait_until(lambda: not _children_that_wait(commands))
    assert "running" in commands.run("status")[0].stdout


def _children_that_wait(commands: Commands) -> list[str]:
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout  # noqa: S607
    return [line for line in listed.splitlines() if "rollback" in line and str(commands.folder) in line]
