"""The sockets on which this worker accepts connections. Granian makes them, and gives them to nobody."""

import ctypes
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

DESCRIPTORS = Path("/proc/self/fd")
SO_ATTACH_FILTER = 26  # socket(7); Python has no name for it
NOTHING_PASSES = struct.pack("HBBI", 0x06, 0, 0, 0)  # one instruction for the kernel: return 0, the bytes let through


def ignore_connections() -> None:
    """Let nobody connect any more, and answer nobody who tries. Does nothing where there is no /proc (no Linux).

    Whoever tries asks again a second later, is refused then, and turns to another server. A listener that is closed
    instead resets what waits to be accepted, when its request may have been sent: a proxy can't send that elsewhere.
    """
    program = ctypes.create_string_buffer(NOTHING_PASSES)
    for listener in _listeners():
        with listener:
            listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", 1, ctypes.addressof(program)))


def _listeners() -> Iterator[socket.socket]:
    """Return a copy of each; what is set on it is set on the original."""
    names = [entry.name for entry in DESCRIPTORS.iterdir()] if DESCRIPTORS.exists() else []
    for name in names:
        with suppress(OSError):  # no socket, or closed since
            copy = socket.socket(fileno=os.dup(int(name)))
            if copy.family in (socket.AF_INET, socket.AF_INET6) and copy.getsockopt(
                socket.SOL_SOCKET, socket.SO_ACCEPTCONN
            ):
                yield copy
            else:
                copy.close()
