"""Detect readers of a stream that stopped.

Granian accepts and stores every byte; only the system knows what was taken.
"""

import fcntl
import os
import socket
import stat
import struct
import sys
import time
from contextlib import suppress

HANDED_OVER_MAX = 1024 * 1024
"""How much is sent before anybody looks whether it is taken."""
UNREAD_MAX = 64 * 1024
READER_SECONDS = 30.0
POLL_SECONDS = 0.1
SIOCOUTQ = 0x5411
"""Linux: how many bytes a socket holds that the other side has not acknowledged."""
OPEN_FILES = "/proc/self/fd"


class StreamReader:
    """The other end of a stream."""

    def __init__(self, host: str, port: str) -> None:
        self._peer = (host, int(port))
        self._handed_over = 0

    def keeps_up(self, size: int) -> bool:
        """Return whether `size` more bytes may be sent.

        Wait for a slow reader; end the connection of one that stopped.
        """
        self._handed_over += size
        # Finding the connection goes through all open files, so it is done once per megabyte.
        if self._handed_over <= HANDED_OVER_MAX or sys.platform != "linux":
            return True
        found = _connection(self._peer)
        if found is None:
            return False
        with found:
            give_up = time.monotonic() + READER_SECONDS
            while _unread(found) > UNREAD_MAX:
                if time.monotonic() > give_up:
                    with suppress(OSError):
                        found.shutdown(socket.SHUT_RDWR)
                    return False
                time.sleep(POLL_SECONDS)
        self._handed_over = 0
        return True


def _unread(connection: socket.socket) -> int:
    unread: int = struct.unpack("i", fcntl.ioctl(connection, SIOCOUTQ, b"\0\0\0\0"))[0]
    return unread


def _connection(peer: tuple[str, int]) -> socket.socket | None:
    """A handle of our own on the connection from `peer`, which stays the same whatever the server closes meanwhile."""
    for name in os.listdir(OPEN_FILES):
        found = _socket(name)
        if found is None:
            continue
        with suppress(OSError):
            if found.getpeername()[:2] == peer:
                return found
        found.close()
    return None


def _socket(name: str) -> socket.socket | None:
    """Duplicate the open file called `name` if it is a socket; None, with nothing left open, otherwise.

    Whatever is no socket is not touched: closing a duplicate of the database's file would end the locks that SQLite has
    on it in this process, and another process would delete its log.
    """
    try:
        if not stat.S_ISSOCK(os.fstat(int(name)).st_mode):
            return None
        descriptor = os.dup(int(name))
    except OSError:
        return None  # closed since
    try:
        return socket.socket(fileno=descriptor)
    except OSError:
        return None  # another file since, which stays open rather than lose its locks; hardly ever
