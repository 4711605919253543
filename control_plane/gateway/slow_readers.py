"""Detect readers of a stream that stopped.

Granian accepts and stores every byte; only the system knows what was taken.
"""

import fcntl
import math
import os
import socket
import stat
import struct
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from enum import Enum

HANDED_OVER_MAX = 1024 * 1024
"""How much is sent before anybody looks whether it is taken."""
UNREAD_MAX = 64 * 1024
READER_SECONDS = 30.0
POLL_SECONDS = 0.1
SIOCOUTQ = 0x5411
"""Linux: how many bytes a socket holds that the other side has not acknowledged."""
OPEN_FILES = "/proc/self/fd"

Peer = tuple[str, int]
"""Host and port."""


class Pace(Enum):
    """How a reader takes what is sent."""

    WITH_US = "with us"
    BEHIND = "behind"
    GONE = "gone"


class StreamReader:
    """The other end of a stream."""

    def __init__(self, host: str, port: str) -> None:
        self._peer = (host, int(port))
        self._since = time.monotonic()
        self._handed_over = 0
        self._behind_since: float | None = None

    def keeps_up(self, size: int) -> bool:
        """Return whether `size` more bytes may be sent.

        Wait for a slow reader; end the connection of one that stopped.
        """
        while (pace := self.pace(size)) is Pace.BEHIND:
            time.sleep(POLL_SECONDS)
        return pace is Pace.WITH_US

    def pace(self, size: int) -> Pace:
        """Return whether `size` more bytes may be sent now; end the connection of one who stopped."""
        # To look at the connection takes a few calls of the system, so it is done once per megabyte.
        if self._handed_over + size <= HANDED_OVER_MAX or sys.platform != "linux":
            self._handed_over += size
            return Pace.WITH_US
        found = CONNECTIONS.find(self._peer, self._since)
        if found is None:
            return Pace.GONE
        with found:
            if _unread(found) > UNREAD_MAX:
                return self._fall_behind(found, time.monotonic())
        self._handed_over, self._behind_since = 0, None
        return Pace.WITH_US

    def _fall_behind(self, connection: socket.socket, now: float) -> Pace:
        self._behind_since = self._behind_since or now
        if now - self._behind_since <= READER_SECONDS:
            return Pace.BEHIND
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        return Pace.GONE


def _unread(connection: socket.socket) -> int:
    unread: int = struct.unpack("i", fcntl.ioctl(connection, SIOCOUTQ, b"\0\0\0\0"))[0]
    return unread


class Connections:
    """Which open file of this process is the connection from whom; all files are gone through for many readers at once.

    Two thousand streams have as many files: gone through for each of them, they would hold up everybody for minutes.
    """

    def __init__(self) -> None:
        self._read: tuple[float, Mapping[Peer, str]] = (-math.inf, {})
        """When the files were gone through, and the name of each connection among them."""

    def find(self, peer: Peer, since: float) -> socket.socket | None:
        """Return a handle of our own on the connection from `peer` that was open at `since`; None where it is closed.

        The handle stays the same whatever the server closes meanwhile.
        """
        # A connection has one file for all its life: if it was open when the files were gone through, then it is that
        # one or no more, and no new look is needed.
        if self._read[0] <= since:
            self._read = time.monotonic(), _connections()
        found = _socket(self._read[1].get(peer, ""))
        if found is None or _peer(found) == peer:
            return found
        found.close()
        return None


CONNECTIONS = Connections()


def _connections() -> Mapping[Peer, str]:
    read: dict[Peer, str] = {}
    for name in os.listdir(OPEN_FILES):
        found = _socket(name)
        if found is None:
            continue
        peer = _peer(found)
        found.close()
        if peer is not None:
            read[peer] = name
    return read


def _peer(connection: socket.socket) -> Peer | None:
    """Return the other end's address; None for a socket that listens, or is no connection of the network."""
    try:
        name = connection.getpeername()
    except OSError:
        return None
    return (name[0], name[1]) if isinstance(name, tuple) else None


def _socket(name: str) -> socket.socket | None:
    """Duplicate the open file called `name` if it is a socket; None, with nothing left open, otherwise.

    Whatever is no socket is not touched: closing a duplicate of the database's file would end the locks that SQLite has
    on it in this process, and another process would delete its log.
    """
    try:
        if not name or not stat.S_ISSOCK(os.fstat(int(name)).st_mode):
            return None
        descriptor = os.dup(int(name))
    except OSError:
        return None  # closed since
    try:
        return socket.socket(fileno=descriptor)
    except OSError:
        return None  # another file since, which stays open rather than lose its locks; hardly ever
