"""How often one address may fail to prove who it is. Only failures count, so nobody pays for a neighbour's."""

import math
import time

from flask import Flask, current_app
from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from control_plane.platform.problems import Problem

SIGN_IN = parse("10/minute")
TOKEN = parse("60/minute")


def init_app(app: Flask) -> None:
    """Give the application its memory of failures, one per process."""
    app.extensions["failures"] = MovingWindowRateLimiter(MemoryStorage())


def refuse_if_exhausted(limit: RateLimitItem, address: str) -> None:
    """Raise a 429 Problem once `address` has failed too often."""
    if _limiter().test(limit, address):
        return
    seconds = max(1, math.ceil(_limiter().get_window_stats(limit, address).reset_time - time.time()))
    detail = f"Too many failures from {address}; try again in {seconds} seconds."
    raise Problem(429, "TOO_MANY_FAILURES", detail, headers={"Retry-After": str(seconds)})


def count(limit: RateLimitItem, address: str) -> None:
    """Note one failure."""
    _limiter().hit(limit, address)


def _limiter() -> MovingWindowRateLimiter:
    found = current_app.extensions["failures"]
    assert isinstance(found, MovingWindowRateLimiter)
    return found
