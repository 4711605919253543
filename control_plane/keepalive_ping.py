"""A request of our own each second, so that nobody else's lies waiting for the next one.

The server hands requests to a pool of threads. One of tens of thousands was left lying there, idle threads beside it,
until another request came and woke one of them (docs/adr/keepalive-ping.md). On a quiet evening that is late.
"""

import threading
from contextlib import suppress
from http.client import HTTPConnection, HTTPException

from control_plane.platform.settings import Settings

PING_SECONDS = 1.0
TIMEOUT_SECONDS = 5.0
PATH = "/healthz"
WILDCARD_ADDRESSES = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where a server listens, not where we do


def start(settings: Settings) -> None:
    """Knock at the server of this process from now on, until the process ends."""
    threading.Thread(target=_ping_forever, args=[settings], name="knock", daemon=True).start()


def _ping_forever(settings: Settings) -> None:
    host, never = WILDCARD_ADDRESSES.get(settings.host, settings.host), threading.Event()
    while not never.wait(PING_SECONDS):
        # A server that is starting, stopping or too busy has nothing lying that would be forgotten.
        with suppress(OSError, HTTPException):
            ping(host, settings.port)


def ping(host: str, port: int) -> int:
    """Ask whether anybody is there; the status of the answer. Raises OSError or HTTPException without one."""
    connection = HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", PATH, headers={"Connection": "close"})
        return connection.getresponse().status
    finally:
        connection.close()
