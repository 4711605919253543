"""A TCP proxy between a program and its database, which can be cut, can hang, and can be mended."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class TcpProxy:
    """A proxy from a TCP port of its own to another; while it is cut, connecting is refused."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._carried: set[socket.socket] = set()
        self._carries = threading.Event()
        self._carries.set()
        self._accept()

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Take connections and bytes, as a pooler that was stopped, and pass them on once the block ends."""
        self._carries.clear()
        try:
            yield
        finally:
            self._carries.set()

    def cut(self) -> None:
        """Break every connection and refuse new ones."""
        # Shut down first: a thread that waits in accept would keep a merely closed socket alive.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for end in list(self._carried):
            _close(end)
        self._carried.clear()

    def mend(self) -> None:
        """Carry again, on the same port."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._accept()

    def _accept(self) -> None:
        threading.Thread(target=self._carry_all, args=[self._listener], daemon=True).start()

    def _carry_all(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                try:
                    far = socket.create_connection(self._target)
                except OSError:  # who is at the other end may be away itself, and come back
                    near.close()
                    continue
                self._carried |= {near, far}
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=_carry, args=[*ends, self._carries], daemon=True).start()


def _carry(source: socket.socket, target: socket.socket, carries: threading.Event) -> None:
    with suppress(OSError):
        while content := source.recv(65536):
            carries.wait()
            target.sendall(content)
    _close(source)
    _close(target)


def _close(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
