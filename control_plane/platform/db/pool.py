"""A connection pool that measures the wait for a connection, the first sign of a slow database.

SQLAlchemy's events say when a connection was taken, and not since when a request has waited for it.
"""

from collections.abc import Callable
from math import inf
from time import perf_counter
from typing import Any

from flask import Flask, has_request_context
from sqlalchemy import PoolProxiedConnection, QueuePool
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from control_plane.platform.extensions import AppState

CheckoutHook = Callable[[float], None]
"""Called with the seconds that a request waited."""
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
        """Take a connection. Raises SQLAlchemy's TimeoutError."""
        if not has_request_context():
            return super().connect()
        observe, started = CHECKOUT_HOOK.get(), perf_counter()
        try:
            taken = super().connect()
        except PoolTimeoutError:
            observe(inf)  # a request that got none in time waited longest of all
            raise
        observe(perf_counter() - started)
        return taken


def set_checkout_hook(app: Flask, observe: CheckoutHook) -> None:
    """Report every wait of this application's requests to `observe`."""
    CHECKOUT_HOOK.set(app, observe)
