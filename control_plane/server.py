"""Serving over HTTP: Granian's workers around the WSGI application, and a stop that loses nothing."""

import gc
import os
import resource
import select
import socket
import sys
import threading
import time
from collections.abc import Callable
from functools import partial

from flask import Flask
from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels
from granian.server.mp import MPServer

from control_plane.app import create_app, start_background, stop_background
from control_plane.gateway import listeners, worker
from control_plane.gateway.respawns import Respawns
from control_plane.platform.http.shutdown import LAST_ANSWERS_SECONDS, LAST_REQUESTS_SECONDS, STOPPING
from control_plane.platform.observability import saturation, tracing
from control_plane.platform.setting_values import SettingsError
from control_plane.platform.settings import Settings

CONNECTIONS_MAX = 10_000
"""Open connections per worker. One that idles needs no thread, so there may be many more than requests at once."""
READING_THREADS = 8
"""Threads of Granian's, which read requests and answer what waits for nothing."""
KILL_SECONDS = 1
RESPAWN_SECONDS = 0.5
ORPHAN_CHECK_SECONDS = 1.0
SWITCH_SECONDS = 0.001

# Inherited by the forked workers: the server replaces their signal handlers, so this is how they learn to stop.
# A pipe that nobody reads empty, not an event: one that a killed worker was waiting for could never be set again.
_stop_reader, _stop_writer = os.pipe()


class PortInUseError(SettingsError):
    """Somebody serves at the address already."""


def serve(settings: Settings, *, application: str = "control_plane.server:application") -> None:
    """Serve until SIGTERM or SIGINT, then end open streams, write what is in memory and leave.

    `application` names the function that makes the application of one worker.
    """
    check_port(settings)
    if settings.workers > 1 and settings.database_url.startswith("sqlite"):
        raise SettingsError("WORKERS is above 1, and SQLite has one writer; set DATABASE_URL to a PostgreSQL server.")
    server = Server(
        application,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.WSGI,
        factory=True,
        workers=settings.workers,
        blocking_threads=min(READING_THREADS, settings.threads),
        backpressure=_connections(),
        http=HTTPModes.http1,
        websockets=False,
        log_level=LogLevels.error,
        respawn_failed_workers=True,
        respawn_interval=RESPAWN_SECONDS,
        workers_kill_timeout=KILL_SECONDS,
    )
    server.respawned_wrks = Respawns(settings.workers)
    # A look for garbage writes into whatever it looks at: each page that a worker shares with us would be copied.
    gc.collect()
    gc.freeze()
    server.serve(worker.work)


def application() -> Flask:
    """Return the application of one worker, with its background threads running.

    Called in the worker, after the fork.
    """
    app = create_app(schema_may_wait=True)
    start_background(app)
    saturation.begin_serving(app)
    tracing.start(app)
    stop_with_server(app, partial(stop_background, app))
    _tune_interpreter()
    return app


def _tune_interpreter() -> None:
    """Keep what works beside the requests from holding them up."""
    # What is here by now lives as long as the worker. A full look for garbage takes some 0.1 s, in which no request is
    # answered, and a busy worker took one every few seconds.
    gc.collect()
    gc.freeze()
    # Each word with the database gives the interpreter away, and whatever job runs has it then: a millisecond at most.
    sys.setswitchinterval(SWITCH_SECONDS)


def stop_with_server(app: Flask, stop: Callable[[], None]) -> None:
    """Have `stop` called when the server of this worker is told to stop, after its last answers, or is gone."""
    os.setpgid(0, 0)  # a Ctrl-C in the terminal reaches the server alone, which then stops its workers in order
    threading.Thread(
        target=_stop_on_signal, args=[STOPPING.get(app), stop, os.getppid()], name="stop", daemon=True
    ).start()


def check_port(settings: Settings) -> None:
    """Raise PortInUseError if nothing can be served at the configured address."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            sentence = f"Can't serve on {settings.host}:{settings.port} ({os.strerror(error.errno or 0).lower()})"
            raise PortInUseError(f"{sentence}; set PORT or HOST to another address.") from error


def _connections() -> int:
    """Return the number of connections a worker may hold; at least half of its file descriptors stay free."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return CONNECTIONS_MAX if most == resource.RLIM_INFINITY else min(CONNECTIONS_MAX, most // 2)


class Server(MPServer):
    """Granian that tells its workers of the stop before it ends them, and forgets none that ended."""

    def signal_handler_interrupt(self, *arguments: object, **options: object) -> None:
        # Before Granian's own handler, which gives the workers KILL_SECONDS.
        os.write(_stop_writer, b"stop")
        super().signal_handler_interrupt(*arguments, **options)  # type: ignore[no-untyped-call]

    def shutdown(self, exit_code: int = 0) -> None:
        if self.interrupt_signal:
            time.sleep(LAST_ANSWERS_SECONDS + LAST_REQUESTS_SECONDS)
        super().shutdown(exit_code)  # type: ignore[no-untyped-call]

    def _respawn_workers(
        self, workers: list[int], spawn_target: object, target_loader: object, delay: float = 0
    ) -> None:
        # Granian copies the list of those that ended and then empties it and its signal: one that ends in between, as
        # when all are killed at once, would never be started again. So whoever ended by now is, and nobody else; those
        # that are replaced alive, one after the other, come with a delay.
        wanted = workers if delay else [each.idx for each in self.wrks if not each.is_alive()]  # type: ignore[no-untyped-call]
        super()._respawn_workers(wanted, spawn_target, target_loader, delay)
        if self.interrupt_children:
            self.main_loop_interrupt.set()


def _stop_on_signal(stopping: threading.Event, stop: Callable[[], None], server: int) -> None:
    """End background work and streams when the server stops; when it is gone without a word, end the worker too."""
    while not select.select([_stop_reader], [], [], ORPHAN_CHECK_SECONDS)[0]:
        if os.getppid() != server:
            stop()
            # A signal to ourselves may reach this thread instead of the one that waits for it, and nobody kills us.
            os._exit(0)
    stopping.set()
    time.sleep(LAST_ANSWERS_SECONDS)
    # What was accepted is still answered: a request may be on its way on it.
    listeners.ignore_connections()
    time.sleep(LAST_REQUESTS_SECONDS)
    stop()
