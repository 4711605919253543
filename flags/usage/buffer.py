"""Reports of services in memory: answers per hour, and impact metrics, summed.

Counted in memory and written as increments every few seconds. Names and labels are the callers' own, so their number
is bounded: what is beyond the bound is dropped and counted as dropped.
"""

import json
import threading
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

SERIES_MAX = 20_000
LABELS_MAX = 10
TEXT_LENGTH_MAX = 200
HOUR_SECONDS = 3600
GAUGE = "gauge"


class EvaluationCount(NamedTuple):
    """One series of answers: `answer` is yes, no, or `variant:` and its name."""

    flag: str
    environment: str
    app_name: str
    hour: int
    answer: str


class Measurement(NamedTuple):
    """One series of a measurement; `part` is value, sum, count, or `le:` and a bound."""

    name: str
    environment: str
    labels: str
    part: str
    type: str


@dataclass(frozen=True, slots=True)
class Report:
    """The reports since the last one was taken. `levels` replace what is stored, everything else is added."""

    answers: Mapping[EvaluationCount, int]
    increments: Mapping[Measurement, float]
    levels: Mapping[Measurement, float]

    def __bool__(self) -> bool:
        return bool(self.answers or self.increments or self.levels)


class UsageBuffer:
    """This process's counts since they were last taken."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: Counter[EvaluationCount] = Counter()
        self._increments: dict[Measurement, float] = {}
        self._levels: dict[Measurement, float] = {}
        self.dropped = 0

    def count_evaluation(
        self, flag: str, answers: Mapping[str, int], *, environment: str, app_name: str, at: datetime
    ) -> None:
        """Count answers by kind: yes, no, or `variant:` and its name."""
        hour = int(at.timestamp()) // HOUR_SECONDS
        with self._lock:
            for answer, count in answers.items():
                series = EvaluationCount(_short(flag), environment, _short(app_name), hour, _short(answer))
                if count and self._has_room(self._answers, series):
                    self._answers[series] += count

    def add_measurement(self, metrics: Iterable[Mapping[str, object]], *, environment: str) -> None:
        """Add the samples of impact metrics, which say what happened since the service last reported."""
        with self._lock:
            for metric in metrics:
                for series, value in _series(metric, environment):
                    self._measure(series, value)

    def take(self) -> Report:
        """Return everything reported so far; nothing is left afterwards."""
        with self._lock:
            report = Report(self._answers, self._increments, self._levels)
            self._answers, self._increments, self._levels = Counter(), {}, {}
        return report

    def put_back(self, report: Report) -> None:
        """Return what could not be written, to be tried again."""
        with self._lock:
            self._answers.update(report.answers)
            # A gauge that was reported meanwhile is newer than the one that could not be written.
            self._levels = {**report.levels, **self._levels}
            for series, value in report.increments.items():
                self._measure(series, value)

    def _measure(self, series: Measurement, value: float) -> None:
        if series.type == GAUGE:
            if self._has_room(self._levels, series):
                self._levels[series] = value
        elif self._has_room(self._increments, series):
            self._increments[series] = self._increments.get(series, 0.0) + value

    def _has_room(self, totals: Mapping[Any, object], series: Hashable) -> bool:
        if series in totals or len(totals) < SERIES_MAX:
            return True
        self.dropped += 1
        return False


def _series(metric: Mapping[str, Any], environment: str) -> Iterable[tuple[Measurement, float]]:
    name, kind = _short(metric["name"]), metric["type"]
    for sample in metric["samples"]:
        labels = dict(sorted(sample.get("labels", {}).items())[:LABELS_MAX])
        text = json.dumps({_short(key): _short(str(value)) for key, value in labels.items()}, sort_keys=True)
        for part, value in _parts(sample):
            yield Measurement(name, environment, text, part, kind), value


def _parts(sample: Mapping[str, Any]) -> Iterable[tuple[str, float]]:
    yield from ((part, float(sample[part])) for part in ("value", "sum", "count") if sample.get(part) is not None)
    for bucket in sample.get("buckets") or ():
        yield f"le:{bucket['le']}", float(bucket["count"])


def _short(text: str) -> str:
    return text[:TEXT_LENGTH_MAX]
