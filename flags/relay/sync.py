"""Keep a relay's feature sets as new as upstream: by stream, by polling without one, from disk before either."""

import re
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import random

import structlog

from control_plane.platform.problems import Problem
from flags.client_features import backup
from flags.client_features.cache import FeatureCache
from flags.client_features.feature_set import FeatureSource, build
from flags.client_features.prepared_payloads import PreparedPayloads
from flags.relay.upstream import Upstream, UpstreamError
from flags.unleash.delta import FeatureState

POLL_SECONDS = 5.0
BACKOFF_SECONDS = (0.2, 15.0)
STALE_SECONDS = 30.0
NO_STREAM = (404, 405, 429, 501)
"""Answers by which upstream says to poll instead."""
STREAM_AGAIN_SECONDS = 60.0
FAILURES_UNTIL_POLLING = 3
NUMBER = re.compile(r"\d{1,15}", re.ASCII)

log = structlog.get_logger()


class UpstreamSync:
    """The feature sets of one relay: of the environment of each token it was given."""

    def __init__(self, upstream: Upstream, folder: Path) -> None:
        self.cache = FeatureCache()
        self._upstream = upstream
        self._folder = folder
        self._confirmed_at: dict[str, float] = {}
        self._stopped = threading.Event()

    def current(self, environment: str) -> PreparedPayloads:
        """Return the payloads of `environment`. Raises Problem while it is unknown."""
        payloads = self.cache.get(environment)
        if payloads is None:
            detail = f"This relay knows nothing of {environment} yet; try again, or give it a token of {environment}."
            raise Problem(503, "ENVIRONMENT_UNKNOWN", detail, headers={"Retry-After": "5"})
        return payloads

    @property
    def stale_seconds(self) -> float:
        """Return the seconds since upstream last answered, for the environment that has waited longest."""
        oldest = min(self._confirmed_at.values(), default=time.monotonic())
        age = time.monotonic() - oldest
        return age if age > STALE_SECONDS else 0.0

    def start(self, environment: str, token: str) -> None:
        """Serve what was kept of `environment` and follow it in a thread of its own."""
        found = backup.load(self._folder, environment)
        self._confirmed_at[environment] = time.monotonic()
        if found is not None:
            age_seconds = (datetime.now(UTC) - found.confirmed_at).total_seconds()
            self._confirmed_at[environment] -= max(age_seconds, STALE_SECONDS)
            self._put(found.source)
        follow = threading.Thread(target=self._follow, args=[environment, token], daemon=True)
        follow.start()

    def stop(self) -> None:
        """End the threads and every stream."""
        self._stopped.set()
        self.cache.close()

    def _follow(self, environment: str, token: str) -> None:
        line = _EnvironmentSync(environment, token)
        while not self._stopped.is_set():
            try:
                if time.monotonic() < line.poll_until:
                    self._poll(line)
                else:
                    self._stream(line)
                line.failures = 0
            except UpstreamError as error:
                self._back_off(line, error, error.status)
            except Exception as error:
                # Whatever upstream sent: without this thread the relay would serve the same flags for ever.
                line.forget()
                self._back_off(line, error)

    def _back_off(self, line: "_EnvironmentSync", error: Exception, status: int = 0) -> None:
        line.failures += 1
        log.warning("relay.upstream", environment=line.environment, cause=str(error)[:300], failures=line.failures)
        # A proxy may break every stream and let polls pass, so some failures of any kind turn to polling for a while.
        if status in NO_STREAM or line.failures % FAILURES_UNTIL_POLLING == 0:
            line.poll_until = time.monotonic() + STREAM_AGAIN_SECONDS
        else:
            self._stopped.wait(_pause_seconds(line.failures))

    def _stream(self, line: "_EnvironmentSync") -> None:
        for event in self._upstream.follow(line.token, line.last_id):
            if self._stopped.is_set():
                return
            self._confirmed_at[line.environment] = time.monotonic()
            if event.document is not None:
                line.state.apply(event.document["events"])
                line.last_id = event.id
                self._take(line.environment, _number(event.id), line.state)
            backup.confirm(self._folder, line.environment)

    def _poll(self, line: "_EnvironmentSync") -> None:
        found = self._upstream.poll(line.token, line.etag)
        self._confirmed_at[line.environment] = time.monotonic()
        if found.document is not None:
            line.etag, line.last_id = found.etag, None  # a stream that comes later has to begin with everything
            # A poll brings everything, so what was gathered from deltas is not built upon.
            held = FeatureState()
            held.apply([{"type": "hydration", **found.document}])
            self._take(line.environment, int(found.document.get("meta", {}).get("revisionId", 0)), held)
        backup.confirm(self._folder, line.environment)
        self._stopped.wait(POLL_SECONDS)

    def _take(self, environment: str, revision: int, state: FeatureState) -> None:
        features, segments = tuple(state.features.values()), tuple(state.segments.values())
        source = FeatureSource(environment, revision, {}, features, segments)
        self._put(source)
        try:
            backup.save(self._folder, source)
        except OSError as error:  # a full disk must not keep a change from who asks
            log.warning("relay.not_kept", environment=environment, cause=str(error))

    def _put(self, source: FeatureSource) -> None:
        before = self.cache.get(source.environment)
        known = before.feature_set if before else None
        feature_set = build(source, datetime.now(UTC), guard_ended_at=None, before=known, upstream_id=source.revision)
        if known is None or known.tag != feature_set.tag:
            log.info("flags.published", environment=source.environment, feature_set=feature_set.tag)
        self.cache.set(feature_set)


@dataclass(slots=True)
class _EnvironmentSync:
    """The state of following one environment."""

    environment: str
    token: str
    state: FeatureState = field(default_factory=FeatureState)
    last_id: str | None = None
    etag: str = ""
    failures: int = 0
    poll_until: float = 0.0

    def forget(self) -> None:
        """Ask for everything again: what was taken of something that can't be used may be half of it."""
        self.state, self.last_id, self.etag = FeatureState(), None, ""


def _number(event_id: str) -> int:
    """Return the number that an event's id begins with: Unleash's ids are numbers, ours name the contents as well."""
    found = NUMBER.match(event_id)
    return int(found[0]) if found else 0


def _pause_seconds(failures: int) -> float:
    """Return a pause that is longer after each failure, and never the same for all relays at once."""
    shortest, longest = BACKOFF_SECONDS
    return float(min(longest, shortest * 2**failures)) * (0.5 + random() / 2)  # noqa: S311 - no secret
