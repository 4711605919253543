"""Notifications as Alertmanager 0.25 posts them."""

from datetime import datetime, timedelta
from typing import Any

NEVER = "0001-01-01T00:00:00Z"
ERRORS = "api_error_rate"


def alert(now: datetime, name: str = ERRORS, **changes: Any) -> dict[str, Any]:
    """Return a critical alert that began a moment after `now`; labels are changed one by one, the rest as a whole."""
    labels = {"alertname": name, "flag": "ENABLE_CREDITS_V2", "severity": "critical"} | changes.pop("labels", {})
    return {
        "status": "firing",
        "labels": {key: value for key, value in labels.items() if value is not None},
        "annotations": {"summary": "2.1% of requests fail"},
        "startsAt": (now + timedelta(seconds=5)).isoformat(),
        "endsAt": NEVER,
        "generatorURL": "http://prometheus/graph",
        "fingerprint": f"print-of-{name}",
        **changes,
    }


def notification(*alerts: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return one post with these alerts."""
    return {
        "version": "4",
        "groupKey": '{}:{alertname="api_error_rate"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "rollout",
        "groupLabels": {"alertname": ERRORS},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager",
        "alerts": list(alerts),
        **changes,
    }
