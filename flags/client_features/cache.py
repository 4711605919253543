"""The newest feature set of each environment, and whoever waits for the next."""

import threading
from collections.abc import Callable
from typing import Protocol

from flags.client_features.feature_set import FeatureSet
from flags.client_features.prepared_payloads import PreparedPayloads, prepare


class FeatureProvider(Protocol):
    """Fills a cache: from the database, or from upstream."""

    cache: "FeatureCache"

    def current(self, environment: str) -> PreparedPayloads:
        """Return the present payloads of `environment`."""

    @property
    def stale_seconds(self) -> float:
        """For how long what is served has not been confirmed, 0 while that is a matter of course."""


class FeatureCache:
    """The feature sets of one process. Reading takes no lock; each new one wakes every waiter."""

    def __init__(self) -> None:
        self._newest: dict[str, PreparedPayloads] = {}
        self._changed = threading.Condition()
        self._version = 0
        self._listeners: set[Callable[[], None]] = set()
        self._closed = False

    @property
    def closed(self) -> bool:
        """Return whether this process is about to stop."""
        return self._closed

    def get(self, environment: str) -> PreparedPayloads | None:
        """Return the newest feature set of `environment`, if there is one."""
        return self._newest.get(environment)

    def environments(self) -> list[str]:
        """Return the environments in the cache."""
        return list(self._newest)

    def set(self, feature_set: FeatureSet) -> PreparedPayloads:
        """Serve `feature_set` from now on and wake who waits."""
        with self._changed:
            before = self._newest.get(feature_set.environment)
            payloads = prepare(feature_set, before)
            if before:
                payloads.follow_projects(before)
            self._newest[feature_set.environment] = payloads
        self.wake()
        return payloads

    @property
    def version(self) -> int:
        """The number of changes so far, of whatever may interest who follows."""
        return self._version

    def wait(self, version: int, timeout_seconds: float) -> None:
        """Wait until there is a change after `version`, or time is up."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._version != version, timeout_seconds)

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call `listener` after each change. Doing so twice changes nothing."""
        self._listeners.add(listener)

    def wake(self) -> None:
        """Let everyone who follows look again."""
        with self._changed:
            self._version += 1
            self._changed.notify_all()
        for listener in tuple(self._listeners):
            listener()

    def close(self) -> None:
        """End everyone's wait for good."""
        self._closed = True
        self.wake()
