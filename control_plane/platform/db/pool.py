"""A connection pool that measures the wait for a connection, the first sign of a slow database.

SQLAlchemy's events say when a connection was taken, and not since when a request has waited for it.
"""

from collections.abc import Callable
from math import inf
from time import monotonic, perf_counter
from typing import Any

from flask import Flask, has_request_context
from sqlalchemy import Engine, PoolProxiedConnection, QueuePool, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import OperationalError, ResourceClosedError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import ConnectionPoolEntry

from control_plane.platform.extensions import AppState

CheckoutHook = Callable[[float], None]
"""Called with the seconds that a request waited."""
CLOSED = "the connection was closed as soon as it was made."
CHECKOUT_HOOK = AppState[CheckoutHook]("checkout_hook")


class InstrumentedPool(QueuePool):
    """A pool that reports how long requests wait: the guard's own work is no evidence of what users wait for."""

    def __init__(self, creator: Any, *, max_overflow: int = 10, **options: Any) -> None:
        super().__init__(creator, max_overflow=max_overflow, **options)
        self._overflow_max = max_overflow

    @property
    def utilization(self) -> float:
        """Return the share of the connections it may ever open that is in use now."""
        return self.checkedout() / (self.size() + self._overflow_max)

    def connect(self) -> PoolProxiedConnection:
        """Take a connection. Raises SQLAlchemy's TimeoutError, and OperationalError where there is none to be had."""
        if not has_request_context():
            return self._connect()
        observe, started = CHECKOUT_HOOK.get(), perf_counter()
        try:
            taken = self._connect()
        except PoolTimeoutError:
            observe(inf)  # a request that got none in time waited longest of all
            raise
        observe(perf_counter() - started)
        return taken

    def _connect(self) -> PoolProxiedConnection:
        try:
            return super().connect()
        except ResourceClosedError as error:
            # A pooler takes a connection before it has one itself, and ends it with our first statement. SQLAlchemy,
            # which asks for version and schema then, goes on with its next question and complains of that.
            raise OperationalError("connect", None, ConnectionError(CLOSED)) from error


class LastReturn:
    """The moment at which a usable connection was given back last, which shows that the server answers."""

    def __init__(self, engine: Engine) -> None:
        self._at = -inf
        event.listen(engine, "checkin", self._set)

    def is_within(self, seconds: float) -> bool:
        """Return whether that is no longer ago."""
        return monotonic() - self._at <= seconds

    def _set(self, connection: DBAPIConnection | None, _entry: ConnectionPoolEntry) -> None:
        if connection is not None:  # a lost one comes back without itself
            self._at = monotonic()


def set_checkout_hook(app: Flask, observe: CheckoutHook) -> None:
    """Report every wait of this application's requests to `observe`."""
    CHECKOUT_HOOK.set(app, observe)
