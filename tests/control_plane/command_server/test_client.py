"""A command whose server is gone, busy or another program is run by its own process, and once only."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from control_plane.command_server import wire
from tests.control_plane.command_server.conftest import Commands, Environment, command_server

pytestmark = pytest.mark.faults

OTHERS = {
    "another program of the name": "wire.program = lambda: ['another']",
    "another user": "wire.peer_is_this_user = lambda connection: False",
    "code that was changed since": "server._modules = lambda states=iter(range(9)): {'a.py': next(states)}",
}
HERE = (0, "here")


@pytest.fixture(params=list(OTHERS.values()), ids=list(OTHERS))
def other(request: pytest.FixtureRequest, server_environment: Environment) -> Iterator[None]:
    """A command server that won't run what this test asks for."""
    with command_server(server_environment, request.param):
        yield


@pytest.mark.usefixtures("other")
def test_another_server_runs_nothing(commands: Commands) -> None:
    done, place = commands.run("plan")
    assert (done.returncode, place) == HERE


def test_a_server_of_another_user_is_told_nothing(commands: Commands, server_environment: Environment) -> None:
    patch = "wire.peer_is_this_user = lambda connection: False"
    with command_server(server_environment):
        done, place = replace(commands, patch=patch).run("--version")
    assert (done.returncode, place) == HERE


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_command_server_ends_with_the_server(
    commands: Commands, server_environment: Environment, number: signal.Signals
) -> None:
    with command_server(server_environment) as server:
        assert commands.run("--version")[1] == "in the server"
        server.send_signal(number)
        server.wait(10)
        done, place = commands.run("--version")
    assert (done.returncode, place) == HERE


def test_a_server_that_says_nothing_is_not_waited_for(commands: Commands, socket_path: Path) -> None:
    """Give it no streams either: a pipe would have no end until the server has one."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as silent:
        socket_path.unlink(missing_ok=True)
        silent.bind(str(socket_path))
        silent.listen()
        done, place = commands.run("plan")
    assert (done.returncode, place) == HERE


def test_a_command_that_is_interrupted_while_it_waits_for_the_server_ends_in_a_word(
    commands: Commands, socket_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as silent:
        socket_path.unlink(missing_ok=True)
        silent.bind(str(socket_path))
        silent.listen()
        with commands.start("plan") as waiting:
            connection, _ = silent.accept()
            waiting.send_signal(signal.SIGINT)
            _, errors = waiting.communicate(timeout=60)
            connection.close()
    assert (waiting.returncode, errors.splitlines()[:-1]) == (1, ["Aborted!"])


@pytest.mark.parametrize("streams", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_caller_may_close_any_stream(
    commands: Commands, server_environment: Environment, tmp_path: Path, streams: str
) -> None:
    def ended(name: str) -> tuple[int, bool]:
        program = f"exec {sys.executable} -m control_plane backup {name} {streams}"
        run = subprocess.run(["/bin/sh", "-c", program], env=commands.environment, cwd=tmp_path, check=False)
        return run.returncode, (tmp_path / name).exists()

    with command_server(server_environment):
        assert ended("by-the-server.db") == (0, True)
    assert ended("alone.db") == (0, True)


def test_a_client_that_gave_up_has_its_command_run_by_nobody(
    commands: Commands, server_environment: Environment, socket_path: Path, tmp_path: Path
) -> None:
    with command_server(server_environment):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.connect(str(socket_path))
            assert client.recv(1) == wire.READY
            arguments = ["backup", "copy.db"]
            wire.send(client, wire.Request(arguments, commands.environment, str(tmp_path), "utf-8", wire.program()))
            assert client.recv(1) == wire.BEGIN
        assert commands.run("--version")[1] == "in the server"
    assert not (tmp_path / "copy.db").exists()


def test_what_commands_count_is_in_no_file_of_the_workers(
    commands: Commands, server_environment: Environment, tmp_path: Path
) -> None:
    counted = tmp_path / "metrics"
    counted.mkdir()
    with command_server(server_environment | {"PROMETHEUS_MULTIPROC_DIR": str(counted)}) as server:
        files = {path.name for path in counted.iterdir()}
        done, place = commands.run("plan")
        assert {path.name for path in counted.iterdir()} == files, server.pid
    assert (done.returncode, place) == (0, "in the server"), done.stderr


def test_commands_that_serve_run_in_the_process_of_their_operator(
    commands: Commands, server_environment: Environment
) -> None:
    with command_server(server_environment), commands.start("serve", PORT="0") as refused:
        _, errors = refused.communicate(timeout=60)
    assert "PORT" in errors
    assert errors.splitlines()[-1] == "here"
