"""What tests need to start other programs: a port to give them, and an end that follows our own."""

import ctypes
import signal
import socket
import sys
from collections.abc import Callable

PR_SET_PDEATHSIG = 1


def free_port() -> int:
    """Return a port of the loopback address that nobody listened on a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def dies_with_us(number: signal.Signals) -> Callable[[], None] | None:
    """Return a `preexec_fn` for Popen: the kernel sends `number` when we end, even by SIGKILL. None without Linux.

    It follows the thread that starts the program, so start it from the main thread.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(PR_SET_PDEATHSIG, number)
