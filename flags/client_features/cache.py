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
        self._closed = False

    @property
    def closed(self) -> bool:
        """Return whether this process is about to stop."""
        return self._closed

    def get(self, environment: str) -> PreparedPayloads | None:
        """The newest feature set of `environment`, if there is one."""
        return self._newest.get(environment)

    def environments(self) -> list[str]:
        """The environments in the cache."""
        return list(self._newest)

    def set(self, feature_set: FeatureSet) -> PreparedPayloads:
        """Serve `feature_set` from now on and wake who waits."""
        with self._changed:
            published = prepare(feature_set, self._newest.get(feature_set.environment))
            self._newest[feature_set.environment] = published
            self._changed.notify_all()
        return published

    def wait_for_newer(
        self, environment: str, known_tag: str, timeout_seconds: float, *, unless: Callable[[], bool] = lambda: False
    ) -> PreparedPayloads | None:
        """Return the feature set after the one tagged `known_tag`; None when none came in time, or waiting is over.

        It is over when the cache is closed, or `unless` says so; `wake` has that looked at.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or unless() or self._is_newer(environment, known_tag), timeout_seconds
            )
            newest = self._newest.get(environment)
        return newest if newest and newest.feature_set.tag != known_tag else None

    def wake(self) -> None:
        """Let everyone who waits look again at why."""
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """End everyone's wait for good."""
        self._closed = True
        self.wake()

    def _is_newer(self, environment: str, known_tag: str) -> bool:
        newest = self._newest.get(environment)
        return newest is not None and newest.feature_set.tag != known_tag
