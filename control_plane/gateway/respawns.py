"""When workers were started again, and whether that has become hopeless.

Granian ends the whole server when one worker ends twice within 5.5 seconds, the healthy ones included. A request that
kills a worker may well be sent twice, so here the others go on, until no worker can be kept alive.
"""

import time
from collections import defaultdict, deque
from collections.abc import Callable

RESPAWNS_MAX = 10
PERIOD_SECONDS = 60.0


class Respawns(dict[int, float]):
    """Granian's own record of workers started again, which it asks by `get` whether one ended too soon."""

    def __init__(self, workers: int, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._workers = workers
        self._clock = clock
        self._times: dict[int, deque[float]] = defaultdict(lambda: deque(maxlen=RESPAWNS_MAX))

    def __setitem__(self, worker: int, at: float) -> None:
        self._times[worker].append(at)
        super().__setitem__(worker, at)

    def get(self, worker: int, default: float = 0.0) -> float:  # type: ignore[override]
        """Return when the worker was started again; long ago, as long as some worker can be kept alive."""
        return super().get(worker, default) if self.is_exhausted else default

    @property
    def is_exhausted(self) -> bool:
        """Return whether every worker was started again so often within the last minute."""
        often = [times for times in self._times.values() if len(times) == RESPAWNS_MAX]
        return len(often) == self._workers and all(self._clock() - times[0] < PERIOD_SECONDS for times in often)
