"""The worker process: Granian's RSGI worker, with our gateway where its event loop would be."""

import threading
from collections.abc import Callable
from typing import Any

from flask import Flask
from granian._granian import CallbackScheduler, RSGIWorker
from granian._signals import set_sync_signals
from granian.server.common import WORKERS_METHODS
from granian.server.mp import WorkerProcess

from control_plane.gateway.gateway import Gateway
from control_plane.gateway.request_bodies import Bodies
from control_plane.gateway.request_threads import RequestThreads
from control_plane.platform.settings import SETTINGS


class DirectCalls:
    """A stand-in for Granian's event loop that runs every callback at once."""

    def call_soon(self, callback: Callable[..., object], *arguments: object, **_context: object) -> None:
        """Call it, in the thread that says so."""
        callback(*arguments)

    call_soon_threadsafe = call_soon


class Scheduler(CallbackScheduler):
    """Hands each request to the gateway, in the thread in which Granian brings it."""

    def __init__(self, _loop: DirectCalls, gateway: Gateway, *_unused: None) -> None:
        super().__init__()
        self._schedule_fn = gateway


def _serve(worker_id: int, app: Flask, sock: Any, ipc: Any, _loop: object, mode: Any, *options: Any) -> None:
    """Serve until the server says stop. Granian calls this in the forked process, with all its own options."""
    # By position, as Granian passes them to its own workers: look here first after an upgrade of Granian.
    *of_worker, _task_impl, http_mode, http1, http2, websockets, static, _log, ssl, _scope, metrics = options
    settings, calls, stopped = SETTINGS.get(app), DirectCalls(), threading.Event()
    bodies, threads = Bodies(settings.request_body_seconds), RequestThreads(settings.threads)
    bodies.watch()
    threads.watch()
    signal = set_sync_signals()  # type: ignore[no-untyped-call]
    signal.add_cb(stopped.set)
    http = (http_mode, http1, http2, websockets, static)
    granian = RSGIWorker(worker_id, sock, ipc, *of_worker, *http, *ssl, metrics)  # type: ignore[call-arg]
    serve = getattr(granian, WORKERS_METHODS[mode][(sock[0] or sock[1]).is_uds()])
    serve(Scheduler(calls, Gateway(app, bodies, threads), None, None, None), calls, signal)
    stopped.wait()


work = WorkerProcess.wrap_target(_serve)  # type: ignore[no-untyped-call]
