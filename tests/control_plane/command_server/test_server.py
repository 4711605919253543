"""Commands that the command server runs are those that the caller's own process would run."""

import os
import signal
import sqlite3
from contextlib import closing
from functools import partial
from io import RawIOBase
from pathlib import Path

import pytest

from tests.control_plane.command_server.conftest import Commands
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("running")

COMMANDS = (
    ("status", "--json"),
    ("status", "--flag", "NO_SUCH_FLAG"),
    ("advance",),
    ("no-such-command",),
    ("flag", "--help"),
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
    (done, place) = commands.run("backup", "café.db", LANG="C.UTF-8")
    assert (done.returncode, place) == (0, "in the server"), done.stderr
    with closing(sqlite3.connect(tmp_path / "café.db")) as copy:
        assert copy.execute("SELECT flag FROM rollout").fetchall() == [("ENABLE_CREDITS_V2",)]


def test_a_change_is_the_caller_s_in_the_audit(commands: Commands) -> None:
    commands.run("plan", LOGNAME="ann")
    (done, place) = commands.run("hold", "--reason", "Waiting for the load test.", LOGNAME="ann")
    (trail, _) = commands.run("audit", "export")
    assert (done.returncode, place) == (0, "in the server"), done.stderr
    assert "ann" in trail.stdout.splitlines()[-1]


def test_output_that_nobody_reads_any_more_is_no_failure_of_the_server(commands: Commands) -> None:
    with commands.start("--help") as process:
        assert process.stdout is not None
        process.stdout.close()
    assert commands.run("--version")[1] == "in the server"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_command_ends_with_its_client(commands: Commands, tmp_path: Path, number: signal.Signals) -> None:
    os.mkfifo(tmp_path / "plan.yaml")
    with (
        commands.start("plan", "apply", "plan.yaml") as reading,
        (tmp_path / "plan.yaml").open("wb", buffering=0) as writer,  # opened once the command reads it
    ):
        reading.send_signal(number)
        assert reading.wait(60) == (-number if number is signal.SIGKILL else 1)
        wait_until(partial(_is_closed, writer))
    assert (
        commands.run("status")[0].stderr
        == "Error: There is no rollout of 'ENABLE_CREDITS_V2'; `rollout plan` makes one."
    )


def _is_closed(pipe: RawIOBase) -> bool:
    try:
        pipe.write(b"#\n")
    except BrokenPipeError:
        return True
    return False
