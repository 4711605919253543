"""Handing upstream what the instances behind a relay report: together, and again when it did not arrive."""

import json
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import structlog

from flags.relay.upstream import Upstream, UpstreamError
from flags.usage.buffer import HOUR_SECONDS, EvaluationCount, Measurement, Report
from flags.usage.connections import Connection
from flags.usage.reporter import LONG_AGO, UsageReporter

FORWARD_SECONDS = 10.0
VARIANT = "variant:"

log = structlog.get_logger()


class MetricsForwarder:
    """The reports this relay received, and a thread that forwards them with the token of each environment."""

    def __init__(self, upstream: Upstream, reporting: UsageReporter, tokens: Mapping[str, str]) -> None:
        self._upstream = upstream
        self._reporting = reporting
        self._tokens = tokens
        self._sent_at = LONG_AGO
        self._stopped = threading.Event()

    def start(self) -> None:
        """Hand on every few seconds."""
        threading.Thread(target=self._forward_always, name="relay-reports", daemon=True).start()

    def stop(self) -> None:
        """Hand on what is left, once."""
        self._stopped.set()
        self.forward()

    def forward(self) -> None:
        """Hand on what was reported since the last time; what does not arrive is kept for the next."""
        report = self._reporting.usage.take()
        connections = [each for each in self._reporting.connections.touch() if each.seen_at > self._sent_at]
        self._sent_at = datetime.now(UTC)
        for environment, token in self._tokens.items():
            body = _body(environment, report, connections)
            if not any(body.values()):
                continue
            try:
                self._upstream.report(token, body)
            except UpstreamError as error:
                log.warning("relay.report_kept", environment=environment, cause=str(error))
                # Only this environment's part: the others have arrived and would count twice.
                self._reporting.usage.put_back(_of(environment, report))

    def _forward_always(self) -> None:
        while not self._stopped.wait(FORWARD_SECONDS):
            self.forward()


def _of(environment: str, report: Report) -> Report:
    """Return the part of a report that is about one environment."""
    return Report(
        {series: count for series, count in report.answers.items() if series.environment == environment},
        {series: value for series, value in report.increments.items() if series.environment == environment},
        {series: value for series, value in report.levels.items() if series.environment == environment},
    )


def _body(environment: str, report: Report, connections: list[Connection]) -> dict[str, list[Any]]:
    ours = _of(environment, report)
    return {
        "applications": [_application(each) for each in connections if each.environment == environment],
        "metrics": _rows(ours.answers),
        "impactMetrics": _impact({**ours.increments, **ours.levels}),
    }


def _application(connection: Connection) -> dict[str, object]:
    return {
        "appName": connection.app_name or "unnamed",
        "instanceId": connection.instance_id,
        "connectionId": connection.id,
        "sdkVersion": connection.sdk,
        "started": connection.connected_at.isoformat(),
        "interval": 0,
        "strategies": [],
    }


def _rows(answers: Mapping[EvaluationCount, int]) -> list[dict[str, object]]:
    rows: dict[tuple[str, str, int], dict[str, Any]] = {}
    for series, count in answers.items():
        row = rows.setdefault(
            (series.flag, series.app_name, series.hour),
            {
                "featureName": series.flag,
                "appName": series.app_name,
                "environment": series.environment,
                "timestamp": datetime.fromtimestamp(series.hour * HOUR_SECONDS, UTC).isoformat(),
                "yes": 0,
                "no": 0,
                "variants": {},
            },
        )
        place = row["variants"] if series.answer.startswith(VARIANT) else row
        place[series.answer.removeprefix(VARIANT)] = count
    return list(rows.values())


def _impact(values: Mapping[Measurement, float]) -> list[dict[str, object]]:
    """Return measurements in the form in which SDKs send them."""
    samples: dict[tuple[str, str, str], dict[str, Any]] = {}
    for series, value in sorted(values.items()):
        key = (series.name, series.type, series.labels)
        sample = samples.setdefault(key, {"labels": json.loads(series.labels)})
        kind, _, bound = series.part.partition(":")
        if kind == "le":
            le = bound if bound == "+Inf" else float(bound)
            sample.setdefault("buckets", []).append({"le": le, "count": value})
        else:
            sample[kind] = value
    return [
        {"name": name, "help": "", "type": kind, "samples": [sample]} for (name, kind, _), sample in samples.items()
    ]
