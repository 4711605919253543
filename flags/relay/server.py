"""Serving a relay: the same server around another application."""

from collections.abc import Sequence
from dataclasses import dataclass

from flask import Flask

from control_plane import server
from control_plane.platform.settings import Settings
from flags.relay import create_relay


@dataclass(frozen=True, slots=True)
class _WorkerSettings:
    settings: Settings
    url: str
    tokens: tuple[str, ...]


_worker_settings: list[_WorkerSettings] = []
"""What to serve; the workers are forked after it is written."""


def serve(settings: Settings, url: str, tokens: Sequence[str]) -> None:
    """Serve a relay of `url` until told to stop."""
    create_relay(settings, url, tokens)  # a mistake is told here rather than by a worker
    _worker_settings.append(_WorkerSettings(settings, url, tuple(tokens)))
    server.serve(settings, application="flags.relay.server:application")


def application() -> Flask:
    """Return the application of one worker, following already."""
    order = _worker_settings[-1]
    relay = create_relay(order.settings, order.url, order.tokens)
    relay.start()
    server.stop_with_server(relay.app, relay.stop)
    return relay.app
