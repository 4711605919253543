"""The words between a command and the command server: READY, a request with its streams, BEGIN twice, an exit code."""

import json
import os
import socket
import struct
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

SOCKET = "commands.sock"
ANSWER_SECONDS = 2.0
"""How long either side waits for the other's next word before a command has begun."""
READY = b"\x01"
"""The server's first word. Streams that nobody takes would be kept open for as long as a server hangs."""
BEGIN = b"\x02"
"""The server says it when it can run the command, and the client when it still wants that: nothing is run twice."""
LENGTH = struct.Struct("!I")
STANDARD_STREAMS = 3
PEER = struct.Struct("3i")
"""Process, user and group of whoever is at the other end of a Unix socket."""


@dataclass(frozen=True)
class Request:
    """A command as its caller typed it, and where."""

    arguments: list[str]
    environment: dict[str, str]
    folder: str
    encoding: str
    program: list[str]


def address(environ: Mapping[str, str]) -> Path:
    """Return the path of the socket in the folder of the installation."""
    return Path(environ.get("INSTANCE_DIR", "instance")) / SOCKET


def program() -> list[str]:
    """Return what tells this program from another of the same name: interpreter, code and mounted file systems."""
    try:
        mounts = os.readlink("/proc/self/ns/mnt")
    except OSError:  # no Linux, and so no containers that share a folder and nothing else
        mounts = ""
    return [sys.version, sys.prefix, str(Path(__file__).resolve()), mounts]


def peer_is_this_user(connection: socket.socket) -> bool:
    """Return whether whoever is at the other end runs as the same user."""
    peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER.size)
    _process, user, _group = PEER.unpack(peer)
    return cast("int", user) == os.geteuid()


def send(connection: socket.socket, request: Request) -> None:
    """Send a request and the standard streams of this process."""
    body = json.dumps(asdict(request)).encode()
    socket.send_fds(connection, [LENGTH.pack(len(body))], range(STANDARD_STREAMS))
    connection.sendall(body)


def receive(connection: socket.socket) -> tuple[Request, list[int]]:
    """Return a request and the standard streams of its caller. Raises OSError or ValueError where none came."""
    length, streams, _flags, _address = socket.recv_fds(connection, LENGTH.size, STANDARD_STREAMS)
    if len(length) != LENGTH.size or len(streams) != STANDARD_STREAMS:
        raise ValueError("no request")
    (size,) = LENGTH.unpack(length)
    with connection.makefile("rb") as stream:
        return Request(**json.loads(stream.read(size))), streams
