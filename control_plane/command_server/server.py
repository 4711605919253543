"""The process that runs commands: it has loaded every module, and forks itself for each command."""

import os
import select
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from control_plane.app import PACKAGES
from control_plane.command_server import wire
from control_plane.platform.observability import prometheus_multiprocess

LISTEN_BACKLOG = 16
FAILED = 1
INTERRUPT_SECONDS = 1.0


def start(path: Path, run: Callable[[], None]) -> None:
    """Start the command server at `path` as a process that ends with this one; without it commands are only slower.

    `run` runs the command in `sys.argv`. Call it before threads or connections are made.
    """
    if sys.platform != "linux":
        return
    for name in PACKAGES:
        import_module(name)
    try:
        listener = _listen(path)
    except OSError:  # a folder that can't be written, or a path that is too long for a socket
        return
    reader, writer = os.pipe()
    if os.fork() == 0:
        try:
            os.close(writer)
            CommandServer(run).serve(listener, reader)
        finally:
            os._exit(FAILED)
    listener.close()
    os.close(reader)
    # The pipe ends when this process does, so no worker may hold it open.
    os.register_at_fork(after_in_child=partial(os.close, writer))


def _listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    path.unlink(missing_ok=True)
    listener.bind(str(path))  # for this user alone: the umask of every command
    listener.listen(LISTEN_BACKLOG)
    return listener


class CommandServer:
    """A process that answers each connection with a child of its own, which runs one command."""

    def __init__(self, run: Callable[[], None]) -> None:
        self._run = run
        self._modules = _modules()
        self._counts_in_files = prometheus_multiprocess.VARIABLE in os.environ

    def serve(self, listener: socket.socket, server: int) -> None:
        """Run commands until the server has ended, which is when its end of the pipe `server` closes."""
        os.setsid()  # a Ctrl-C in the server's terminal is not meant for a command that runs
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # each client is told how its command ended
        while server not in select.select([listener.fileno(), server], [], [])[0]:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                os.close(server)
                self._answer(connection)
            connection.close()

    def _answer(self, connection: socket.socket) -> NoReturn:
        code = FAILED
        try:
            call = self._accept(connection)
            if call:
                _take_place(*call)
                code = self._run_command(connection)
                connection.sendall(bytes([code]))
        except BrokenPipeError:
            pass  # the client hung up
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(code)

    def _accept(self, connection: socket.socket) -> tuple[wire.Request, list[int]] | None:
        """Return what to run and the streams of its caller, or None if it is not to be run here.

        That is so for another user, for another program, and since the code was changed that this process loaded.
        """
        connection.settimeout(wire.ANSWER_SECONDS)
        with suppress(OSError, ValueError):
            if not wire.peer_is_this_user(connection):
                return None
            connection.sendall(wire.READY)
            request, streams = wire.receive(connection)
            if request.program == wire.program() and _modules() == self._modules:
                connection.sendall(wire.BEGIN)
                return (request, streams) if connection.recv(1) == wire.BEGIN else None
        return None

    def _run_command(self, connection: socket.socket) -> int:
        """Return the exit code of the command in `sys.argv`, interrupted as by a Ctrl-C when its client hangs up."""
        threading.Thread(target=_interrupt_at_end, args=[connection, threading.get_ident()], daemon=True).start()
        if not self._counts_in_files:
            return _exit_code(self._run)
        with tempfile.TemporaryDirectory() as folder:
            # What this process counts ends with it, and sums over the workers must never fall.
            os.environ[prometheus_multiprocess.VARIABLE] = folder
            return _exit_code(self._run)


def _take_place(request: wire.Request, streams: list[int]) -> None:
    """Make this process the caller's: its streams, its folder, its environment, and nobody's terminal."""
    os.setsid()  # or a password would be asked for in the terminal of the server
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(request.folder)
    os.environ.clear()
    os.environ.update(request.environment)
    sys.argv = ["rollout", *request.arguments]
    sys.stdin = open(0, encoding=request.encoding, closefd=False)  # noqa: SIM115 - for the rest of its life
    sys.stdout = open(1, "w", encoding=request.encoding, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", 1, request.encoding, "backslashreplace", closefd=False)  # noqa: SIM115


def _exit_code(run: Callable[[], None]) -> int:
    """Run a whole program and return how the interpreter would have ended it."""
    try:
        run()
        sys.stdout.flush()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception:
        traceback.print_exc()
        return FAILED
    finally:
        with suppress(OSError):
            sys.stdout.flush()
    return 0


def _interrupt_at_end(connection: socket.socket, thread: int) -> NoReturn:
    """Interrupt the main thread when the client hangs up, again and again until it has ended."""
    connection.settimeout(None)
    with suppress(OSError):
        while connection.recv(1):
            pass
    while True:
        # One that comes just before a system call begins wakes nobody.
        signal.pthread_kill(thread, signal.SIGINT)
        time.sleep(INTERRUPT_SECONDS)


def _modules() -> dict[str, int]:
    """Return when each module of the program was last changed, in nanoseconds, by its path."""
    root = Path(__file__).parents[2]
    folders = (root / name for name in ("control_plane", *PACKAGES))
    return {str(path): path.stat().st_mtime_ns for folder in folders for path in folder.rglob("*.py")}
