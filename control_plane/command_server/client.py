"""The `rollout` command as a client of the command server. Loads next to nothing: that is what it is for."""

import os
import signal
import socket
import sys
from types import FrameType

from control_plane.command_server import wire

OWN_PROCESS = frozenset({"serve", "demo", "relay", "mcp"})
"""Commands that serve until they are stopped, which run in the process that their operator started."""
ENDED = 1


def run(arguments: list[str]) -> int | None:
    """Have the command server run a command; returns its exit code, or None where this process has to run it."""
    if sys.platform != "linux" or not arguments or arguments[0] in OWN_PROCESS:
        return None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(wire.ANSWER_SECONDS)
        try:
            begun = _begin(connection, arguments)
        except (OSError, ValueError):
            return None
        return _wait(connection) if begun else None


def _begin(connection: socket.socket, arguments: list[str]) -> bool:
    connection.connect(str(wire.address(os.environ)))
    # The request carries this user's secrets.
    if not wire.peer_is_this_user(connection) or connection.recv(1) != wire.READY:
        return False
    wire.send(
        connection,
        wire.Request(arguments, dict(os.environ), os.getcwd(), sys.stdout.encoding, wire.program()),
    )
    if connection.recv(1) != wire.BEGIN:
        return False
    connection.sendall(wire.BEGIN)
    return True


def _wait(connection: socket.socket) -> int:
    """Return the exit code of the command that runs. A signal that would end this process ends the command first."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        # A second one ends this process, whatever the command does.
        for each in interrupting:
            signal.signal(each, signal.SIG_DFL)
        connection.shutdown(socket.SHUT_WR)

    interrupting = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for each in interrupting:
        signal.signal(each, interrupt)
    connection.settimeout(None)
    code = connection.recv(1)
    if not code:
        sys.stderr.write("Error: The command was ended before it was done.\n")
    return code[0] if code else ENDED
