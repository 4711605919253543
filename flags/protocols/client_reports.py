"""Reports of SDKs, converted for storage."""

from datetime import datetime, timedelta

from control_plane.platform import clock
from flags.evaluation import timestamps
from flags.protocols import requests
from flags.usage.reporter import reporter

OLDEST_REPORT = timedelta(days=7)


def registration(said: requests.Registration, environment: str) -> None:
    """Record that an SDK instance introduced itself."""
    headers = {
        "unleash-connection-id": said.connection_id,
        "unleash-instanceid": said.instance_id,
        "unleash-appname": said.app_name,
        "unleash-sdk": said.sdk_version,
    }
    named = {name: value for name, value in headers.items() if value}
    reporter().connections.record(named, environment, now=clock.now())


def metrics(said: requests.Metrics, environment: str, *, counts_outcomes: bool = True) -> None:
    """Record what an SDK instance told: how often which flag was answered in which way, and what its service measured.

    With `counts_outcomes` the guard judges what was measured.
    """
    now = clock.now()
    for flag, toggle in (said.bucket.toggles if said.bucket else {}).items():
        reporter().usage.count_evaluation(
            flag, _counts(toggle), environment=environment, app_name=said.app_name, at=now
        )
    _impact_metrics(said.impact_metrics, environment, counts_outcomes=counts_outcomes)


def bulk(said: requests.BulkMetrics, environment: str) -> None:
    """Record what a relay gathered; rows of another environment are left out."""
    now = clock.now()
    for row in said.metrics:
        if row.environment == environment:
            reporter().usage.count_evaluation(
                row.feature_name,
                _counts(row),
                environment=environment,
                app_name=row.app_name,
                at=_reported_at(row.timestamp, now),
            )
    _impact_metrics(said.impact_metrics, environment)


def _counts(toggle: requests.FeatureCounts | requests.BulkMetric) -> dict[str, int]:
    variants = {f"variant:{name}": count for name, count in toggle.variants.items()}
    return {"yes": toggle.yes, "no": toggle.no, **variants}


def _impact_metrics(
    measured: list[requests.ImpactMetric] | None, environment: str, *, counts_outcomes: bool = True
) -> None:
    metrics = [metric.model_dump() for metric in measured or ()]
    reporter().usage.add_measurement(metrics, environment=environment)
    if counts_outcomes:
        reporter().outcomes.record(metrics, environment=environment)


def _reported_at(timestamp: object, now: datetime) -> datetime:
    """Return the hour that a relay means, as long as it is a recent one."""
    at = timestamps.parse_timestamp(timestamp) if isinstance(timestamp, str) else None
    return at if at and now - OLDEST_REPORT <= at <= now else now
