"""How full this process is: requests at once against its threads, and connections against its pool."""

from threading import Lock

from flask import Flask
from prometheus_client import Gauge

from control_plane.platform.extensions import AppState
from control_plane.platform.settings import current

SHARE_MAX = 0.9

IN_PROGRESS = Gauge("rollout_requests_in_progress", "Requests on a thread.", multiprocess_mode="livesum")
THREADS = Gauge("rollout_threads", "Threads that answer requests.", multiprocess_mode="livesum")
CONNECTIONS = Gauge("rollout_database_connections", "Connections in use.", multiprocess_mode="livesum")


class RequestsInProgress:
    """The requests that have a thread of this process now. Those that wait for one are seen by nobody."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._count = 0
        self._lock = Lock()

    def begin(self) -> None:
        """Count a request that has got its thread."""
        with self._lock:
            self._count += 1
        IN_PROGRESS.inc()

    def end(self) -> None:
        """Count it no longer."""
        with self._lock:
            self._count -= 1
        IN_PROGRESS.dec()

    @property
    def saturated(self) -> str:
        """Return a sentence while hardly a thread is left, else nothing."""
        is_saturated = self._count > SHARE_MAX * self._threads
        return f"{self._count} of {self._threads} threads answer requests; more of them wait." if is_saturated else ""


REQUESTS = AppState[RequestsInProgress]("requests_in_progress", lambda: RequestsInProgress(current().threads))


def begin_serving(app: Flask) -> None:
    """Tell how many threads there are; call it in the worker."""
    with app.app_context():
        THREADS.set(current().threads)
