"""The SDK instances that use the flags: who they are, how they listen, and which revision_id they were last given.

Noted in memory as they call, written together every few seconds, read from the database by whoever shows them all.
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Protocol

CONNECTIONS_MAX = 20_000
TEXT_LENGTH_MAX = 200


class Headers(Protocol):
    """Look-up of a header by its name in lower case."""

    def get(self, name: str, /) -> str | None: ...


class Mode(StrEnum):
    """The transport of an SDK instance. One that was `shed` asked for a stream when there was none to be had."""

    POLLING = "polling"
    STREAMING = "streaming"
    SHED = "shed"


@dataclass(slots=True)
class Connection:
    """One SDK instance. `revision_id` is the id of the one it was last given, 0 before the first."""

    id: str
    environment: str
    app_name: str
    instance_id: str
    sdk: str
    mode: Mode
    revision_id: int
    connected_at: datetime
    seen_at: datetime


class Connections:
    """The instances that this process has heard of since they were last written down."""

    def __init__(self) -> None:
        self._instances: dict[str, Connection] = {}
        self._changing = threading.Lock()

    def record(
        self, headers: Headers, environment: str, *, now: datetime, revision_id: int = 0, mode: Mode | None = None
    ) -> None:
        """Take note of a call: `headers` say who, by the names the official SDKs use. Who says nothing is not noted."""
        key = headers.get("unleash-connection-id") or headers.get("unleash-instanceid")
        if not key or len(key) > TEXT_LENGTH_MAX:
            return
        known = self._instances.get(key)
        if known is None:
            known = self._connect(key, headers, environment, now)
        known.seen_at = now
        known.revision_id = revision_id or known.revision_id
        known.mode = mode or known.mode
        known.environment = environment

    def mode(self, connection_id: str) -> Mode | None:
        """Return the transport of this instance, as far as this process knows."""
        known = self._instances.get(connection_id)
        return known.mode if known else None

    def touch(self) -> list[Connection]:
        """Return everyone heard of by this process, as they are now."""
        with self._changing:
            return [replace(connection) for connection in self._instances.values()]

    def forget(self, ids: Iterable[str]) -> None:
        """Drop instances that have gone."""
        with self._changing:
            for key in ids:
                self._instances.pop(key, None)

    def _connect(self, key: str, headers: Headers, environment: str, now: datetime) -> Connection:
        met = Connection(
            id=key,
            environment=environment,
            app_name=_short(headers.get("unleash-appname") or headers.get("user-agent")),
            instance_id=_short(headers.get("unleash-instanceid")),
            sdk=_short(headers.get("unleash-sdk")),
            mode=Mode.POLLING,
            revision_id=0,
            connected_at=now,
            seen_at=now,
        )
        with self._changing:
            # The one that was met first goes.
            while len(self._instances) >= CONNECTIONS_MAX:
                self._instances.pop(next(iter(self._instances)))
            # Two first calls of one instance may come here at once; both then note what they see in the same object.
            return self._instances.setdefault(key, met)


def _short(text: str | None) -> str:
    return (text or "")[:TEXT_LENGTH_MAX]
