"""Outcomes that services count with their SDK's impact metrics, as the guard wants them: so many bad among so many.

A service counts all outcomes of a kind in a counter `NAME_total` and the bad ones in `NAME_bad`; an alert judges them
as `metric: NAME`. Only production's count, for that is where exposure ends by them.
"""

import re
import threading
from collections.abc import Callable, Iterable, Mapping
from math import isfinite
from typing import Any

from control_plane.audiences.exposure import PRODUCTION
from control_plane.signal_counts import Counts

PARTS = ("total", "bad")
NAMED = re.compile(r"([a-z][a-z0-9_]{0,63})_(total|bad)")
NAMES_MAX = 200
OUTCOMES_MAX = 10_000_000
"""More in one report of one service is no count but a mistake."""


class OutcomeBuffer:
    """Outcomes reported by SDKs since the last flush. `is_reserved` tells names that only this program may count."""

    def __init__(self, is_reserved: Callable[[str], bool]) -> None:
        self._lock = threading.Lock()
        self._is_reserved = is_reserved
        self._counts: dict[str, Counts] = {}

    def record(self, metrics: Iterable[Mapping[str, object]], *, environment: str) -> None:
        """Add the outcomes among the impact metrics of one report."""
        if environment != PRODUCTION:
            return
        with self._lock:
            for name, count in _outcomes(metrics).items():
                # Names are the callers' own: a new one beyond the bound is dropped, a known one still counts.
                if not self._is_reserved(name) and (name in self._counts or len(self._counts) < NAMES_MAX):
                    self._counts[name] = _sum(self._counts.get(name), count)

    def take(self) -> dict[str, Counts]:
        """Return everything told so far; nothing is left afterwards."""
        with self._lock:
            taken, self._counts = self._counts, {}
        return taken

    def put_back(self, counts: Mapping[str, Counts]) -> None:
        """Return what could not be written, to be tried again."""
        with self._lock:
            for name, count in counts.items():
                self._counts[name] = _sum(self._counts.get(name), count)


def _outcomes(metrics: Iterable[Mapping[str, Any]]) -> dict[str, Counts]:
    """Return outcomes by name; a bad outcome is an outcome, whether or not the service counted it among all."""
    parts: dict[str, dict[str, int]] = {}
    for metric in metrics:
        named = NAMED.fullmatch(metric["name"])
        if named and metric["type"] == "counter":
            found = parts.setdefault(named[1], dict.fromkeys(PARTS, 0))
            found[named[2]] += sum(map(_integer, metric["samples"]))
    counts = {name: Counts(found["bad"], max(found["total"], found["bad"])) for name, found in parts.items()}
    return {name: count for name, count in counts.items() if 0 < count.total <= OUTCOMES_MAX}


def _integer(sample: Mapping[str, Any]) -> int:
    value = sample.get("value") or 0
    return int(value) if isfinite(value) and 0 < value <= OUTCOMES_MAX else 0


def _sum(before: Counts | None, more: Counts) -> Counts:
    return Counts(before.bad + more.bad, before.total + more.total) if before else more
