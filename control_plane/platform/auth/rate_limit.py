"""Limit failed attempts to authenticate, per address. Only failures count, so nobody pays for a neighbour.

An attempt counts from its beginning until it has succeeded: a hundred at once get no further than a hundred in turn.
"""

import math
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import IPv6Address, ip_address, ip_network

from flask import Flask
from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from control_plane.platform.extensions import AppState
from control_plane.platform.problems import Problem

SIGN_IN = parse("10/minute")
ACCOUNT = parse("30/minute")
"""One account from anywhere: more than its owner mistypes, less than a crowd of addresses would like."""
TOKEN = parse("60/minute")
IPV6_SITE_BITS = 64
"""A site is given so much of an IPv6 address; what follows is its own to choose."""


class Failures:
    """The failures of the last minute and the attempts under way, of one process."""

    def __init__(self) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._changing = threading.Lock()
        self._under_way: Counter[tuple[str, str]] = Counter()

    def begin(self, limit: RateLimitItem, name: str) -> None:
        """Count an attempt until `end`. Raises a 429 Problem where failures and attempts reach the limit."""
        key = (limit.key_for(), name)
        with self._changing:
            # Attempts under way count as failures until they end: otherwise a thousand guesses at once would all be
            # within the limit.
            left = self._limiter.get_window_stats(limit, name).remaining - self._under_way[key]
            if left > 0:
                self._under_way[key] += 1
                return
        raise self._exhausted(limit, name)

    def end(self, limit: RateLimitItem, name: str, *, failed: bool) -> None:
        """Count no longer an attempt but a failure, if it was one."""
        key = (limit.key_for(), name)
        with self._changing:
            self._under_way[key] -= 1
            if not self._under_way[key]:
                del self._under_way[key]
            if failed:
                self._limiter.hit(limit, name)

    def add(self, limit: RateLimitItem, name: str) -> None:
        """Count a failure that was no attempt before."""
        self._limiter.hit(limit, name)

    def _exhausted(self, limit: RateLimitItem, name: str) -> Problem:
        seconds = max(1, math.ceil(self._limiter.get_window_stats(limit, name).reset_time - time.time()))
        detail = f"Too many failures from {name}; try again in {seconds} seconds."
        return Problem(429, "TOO_MANY_FAILURES", detail, headers={"Retry-After": str(seconds)})


FAILURES = AppState[Failures]("authentication_failures")


class Attempt:
    """An attempt to prove who one is: a failure unless it is said to have succeeded."""

    def __init__(self) -> None:
        self.failed = True


@contextmanager
def attempt(*limits: tuple[RateLimitItem, str]) -> Iterator[Attempt]:
    """Provide an attempt under these limits, each with whom it counts against.

    Raises a 429 Problem beyond any of them.
    """
    made, failures = Attempt(), FAILURES.get()

    def end(limit: RateLimitItem, name: str) -> None:
        failures.end(limit, name, failed=made.failed)

    with ExitStack() as ending:
        try:
            for limit, name in limits:
                failures.begin(limit, name)
                ending.callback(end, limit, name)
        except Problem:
            made.failed = False  # refused before anything was tried: nobody pays for that
            raise
        yield made


def raise_if_exceeded(limit: RateLimitItem, address: str) -> None:
    """Raise a 429 Problem once `address` has failed too often."""
    with attempt((limit, network(address))) as attempted:
        attempted.failed = False


def count(limit: RateLimitItem, address: str) -> None:
    """Note a failure."""
    FAILURES.get().add(limit, network(address))


def raise_or_count(limit: RateLimitItem, address: str) -> None:
    """Note a failure, or raise a 429 Problem once there were too many; a hundred at once are no way round."""
    failures, name = FAILURES.get(), network(address)
    failures.begin(limit, name)
    failures.end(limit, name, failed=True)


def network(address: str) -> str:
    """Return the network that is counted for an address: an IPv4 address itself, an IPv6 address its site."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, IPv6Address):
        # An IPv4 client on an IPv6 socket counts as its IPv4 address, not as the one site that all of those share.
        return str(found.ipv4_mapped or ip_network((found, IPV6_SITE_BITS), strict=False))
    return str(found)


def init_app(app: Flask) -> None:
    """Give the application its memory of failures, one per process."""
    FAILURES.set(app, Failures())
