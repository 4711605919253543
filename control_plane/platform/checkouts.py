"""How long a request waits for one of the pool's connections: all of them taken is the first sign of a slow database.

SQLAlchemy tells when a connection was taken out, and not since when somebody has waited for it.
"""

from collections.abc import Callable
from math import inf
from time import perf_counter

from flask import Flask, current_app, has_request_context
from sqlalchemy import PoolProxiedConnection, QueuePool
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

Told = Callable[[float], None]
"""Is told how many seconds a request waited."""
TOLD = "checkouts_told"


class TimedPool(QueuePool):
    """A pool that tells how long requests wait: the guard's own work is no evidence of what users wait for."""

    @property
    def share_taken(self) -> float:
        """Which share of the connections that it may ever give out is in use now."""
        return self.checkedout() / (self.size() + self._max_overflow)

    def connect(self) -> PoolProxiedConnection:
        """A connection, taken out of the pool. Raises SQLAlchemy's TimeoutError."""
        if not has_request_context():
            return super().connect()
        told: Told = current_app.extensions[TOLD]
        started = perf_counter()
        try:
            taken = super().connect()
        except PoolTimeoutError:
            told(inf)  # whoever got none in time waited longest of all
            raise
        told(perf_counter() - started)
        return taken

    def lose(self, taken: PoolProxiedConnection, error: BaseException) -> None:
        """Give up a connection that turned out to be lost, and each that is as old: they were lost with it."""
        self._invalidate(taken, error)


def tell(app: Flask, told: Told) -> None:
    """Let `told` know of every wait of this application's requests."""
    app.extensions[TOLD] = told
