"""Reports what both sides of a comparison did, in batches and in the background; what can't be kept is counted."""

import atexit
import json
import logging
import threading
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import quote

import requests

RESULTS_MAX = 10_000
"""Results that wait in memory; more are lost, and the number of those lost is reported."""
BATCH = 500
FLUSH_SECONDS = 1.0
AGE_SECONDS = 60.0
"""Older results are lost: they would count for a step of the rollout that is over."""
TIMEOUT_SECONDS = 5.0
CLOSE_SECONDS = 3.0
REFUSED = range(400, 500)
PAUSE_SECONDS = 10.0
LOST_MAX = 10_000_000
"""More are not taken in one batch."""
PASSING = (408, 425, 429)
"""Refusals that end by themselves."""

Entry = tuple[float, str, dict[str, object]]
"""When it was added, the flag and the result."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Batch:
    """Results of one flag under a name of their own, so that they count once however often they are sent."""

    flag: str
    results: list[dict[str, object]]
    lost: dict[str, int]
    made_at: float = field(default_factory=time.monotonic)
    name: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def losses(self) -> Counter[tuple[str, str]]:
        """Return what is lost where this batch is given up, by flag and serving side."""
        found = Counter({(self.flag, arm): number for arm, number in self.lost.items()})
        found.update((self.flag, str(result["served"])) for result in self.results)
        return found


class Reporter:
    """The results of one process. Adding one never waits and never fails."""

    def __init__(self, url: str, token: str, *, before_each: Callable[[], None]) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._before_each = before_each
        self._lock = threading.Lock()
        self._results: deque[Entry] = deque()
        self._lost: Counter[tuple[str, str]] = Counter()
        self._waiting: Batch | None = None
        self._paused_until = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="flags-results", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def add(self, flag: str, result: dict[str, object]) -> None:
        """Report this result soon."""
        with self._lock:
            if len(self._results) < RESULTS_MAX:
                self._results.append((time.monotonic(), flag, result))
            else:
                self._lost[flag, str(result["served"])] += 1

    def close(self) -> None:
        """Send what waits, once, and end."""
        atexit.unregister(self.close)
        self._ended.set()
        self._thread.join(CLOSE_SECONDS)

    def _work(self) -> None:
        while not self._ended.wait(FLUSH_SECONDS):
            try:
                self._before_each()
                self._flush()
            except Exception:
                # Without this thread nothing would be reported any more, and nobody would learn of it.
                log.exception("Results of comparisons could not be reported.")
        self._flush()

    def _flush(self) -> None:
        if time.monotonic() < self._paused_until:
            return
        while (batch := self._waiting or self._next()) is not None:
            self._waiting = batch
            if batch.results and time.monotonic() - batch.made_at > AGE_SECONDS:
                self._give_up(batch, "they could not be sent for a minute")
                continue
            if not self._sent(batch):
                return
            self._waiting = None

    def _next(self) -> Batch | None:
        """Return results of one flag, and what was lost of it meanwhile."""
        with self._lock:
            self._drop_old()
            flag = self._results[0][1] if self._results else next((flag for flag, _ in self._lost), None)
            if flag is None:
                return None
            taken, others = deque[Entry](), deque[Entry]()
            while self._results and len(taken) < BATCH:
                entry = self._results.popleft()
                (taken if entry[1] == flag else others).append(entry)
            self._results.extendleft(reversed(others))
            lost = {arm: min(number, LOST_MAX) for (name, arm), number in self._lost.items() if name == flag}
            for arm in lost:
                del self._lost[flag, arm]
        return Batch(flag, [result for _, _, result in taken], lost)

    def _drop_old(self) -> None:
        before = time.monotonic() - AGE_SECONDS
        while self._results and self._results[0][0] < before:
            _, flag, result = self._results.popleft()
            self._lost[flag, str(result["served"])] += 1

    def _sent(self, batch: Batch) -> bool:
        """Return whether the batch needs no other try."""
        body = json.dumps({"batchId": batch.name, "results": batch.results, "lost": batch.lost})
        address = f"{self._url}/api/experiments/{quote(batch.flag, safe='')}/results"
        try:
            response = requests.post(
                address, data=body, headers=self._headers, timeout=TIMEOUT_SECONDS, allow_redirects=False
            )
        except requests.RequestException as error:
            log.info("Results of %s wait for the server: %s.", batch.flag, type(error).__name__)
            return False
        if response.status_code in REFUSED:
            # What is refused once is refused again for a while: what comes meanwhile is lost rather than sent in vain.
            self._paused_until = time.monotonic() + PAUSE_SECONDS
            if response.status_code not in PASSING:
                self._give_up(batch, response.text[:300])
        return bool(response.status_code == requests.codes.accepted)

    def _give_up(self, batch: Batch, reason: str) -> None:
        log.warning("%d results of %s are lost: %s", len(batch.results), batch.flag, reason)
        with self._lock:
            self._lost.update(batch.losses)
        self._waiting = None
