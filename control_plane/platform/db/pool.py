"""A connection pool that measures the wait for a connection, the first sign of a slow database.

SQLAlchemy's events say when a connection was taken, and not since when a request has waited for it.
"""

from collections.abc import Callable
from math import inf
from time import monotonic, perf_counter
from typing import Any

from flask import Flask, has_request_context
from sqlalchemy import PoolProxiedConnection, QueuePool
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
        self._returned_at = -inf

    @property
    def utilization(self) -> float:
        """Return the share of the connections it may ever open that is in use now."""
        return self.checkedout() / (self.size() + self._overflow_max)

    def has_answered_within(self, seconds: float) -> bool:
        """Return whether somebody has given a usable connection back in so many seconds, so that the server answers."""
        return monotonic() - self._returned_at <= seconds

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

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        if record.dbapi_connection is not None:
            self._returned_at = monotonic()
        super()._do_return_conn(record)

    def _connect(self) -> PoolProxiedConnection:
        try:
            return super().connect()
        except ResourceClosedError as error:
            # A pooler takes a connection before it has one itself, and ends it with our first statement. SQLAlchemy,
            # which asks for version and schema then, goes on with its next question and complains of that.
            raise OperationalError("connect", None, ConnectionError(CLOSED)) from error


def set_checkout_hook(app: Flask, observe: CheckoutHook) -> None:
    """Report every wait of this application's requests to `observe`."""
    CHECKOUT_HOOK.set(app, observe)
