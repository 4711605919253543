"""A connection pool that measures the wait for a connection, the first sign of a slow database.

SQLAlchemy tells when a connection was taken out, and not since when somebody has waited for it.
"""

from collections.abc import Callable
from math import inf
from time import perf_counter, time
from typing import TypeVar, cast

from flask import Flask, has_request_context
from sqlalchemy import PoolProxiedConnection, QueuePool
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.pool.base import _ConnectionRecord

from control_plane.platform.extensions import AppState

CheckoutHook = Callable[[float], None]
"""Is told how many seconds a request waited."""
CHECKOUT_HOOK = AppState[CheckoutHook]("checkout_hook")
CheckoutResult = TypeVar("CheckoutResult")


class InstrumentedPool(QueuePool):
    """A pool that tells how long requests wait: the guard's own work is no evidence of what users wait for."""

    @property
    def utilization(self) -> float:
        """Which share of the connections that it may ever give out is in use now."""
        return self.checkedout() / (self.size() + self._max_overflow)

    def connect(self) -> PoolProxiedConnection:
        """A connection, taken out of the pool. Raises SQLAlchemy's TimeoutError."""
        return _timed(super().connect)

    def checkout_raw(self) -> ConnectionPoolEntry:
        """A connection for one statement, without SQLAlchemy's proxy around it, which costs as much as a small one.

        Whoever takes it gives it to `take_back`, with no transaction on it. Raises TimeoutError, and the driver's
        error where there is no connection to be had.
        """
        return _timed(self._connected)

    def checkin_raw(self, lent: ConnectionPoolEntry) -> None:
        """The connection is here for others again."""
        self._do_return_conn(lent)

    def _connected(self) -> ConnectionPoolEntry:
        lent = self._do_get()
        try:
            cast(_ConnectionRecord, lent).get_connection()  # a new one, if that one was lost
        except BaseException:
            self.checkin_raw(lent)
            raise
        return lent

    def invalidate(self, taken: PoolProxiedConnection, error: BaseException) -> None:
        """Give up a connection that turned out to be lost, and each that is as old: they were lost with it."""
        self._invalidate(taken, error)

    def invalidate_checked_out(self, lent: ConnectionPoolEntry, error: BaseException) -> None:
        """Invalidate a connection that is checked out."""
        if self._invalidate_time < cast(_ConnectionRecord, lent).starttime:
            self._invalidate_time = time()
        lent.invalidate(error)


def _timed(take: Callable[[], CheckoutResult]) -> CheckoutResult:
    if not has_request_context():
        return take()
    told = CHECKOUT_HOOK.get()
    started = perf_counter()
    try:
        taken = take()
    except PoolTimeoutError:
        told(inf)  # whoever got none in time waited longest of all
        raise
    told(perf_counter() - started)
    return taken


def set_checkout_hook(app: Flask, told: CheckoutHook) -> None:
    """Let `told` know of every wait of this application's requests."""
    CHECKOUT_HOOK.set(app, told)
