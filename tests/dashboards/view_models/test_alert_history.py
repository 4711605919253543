"""The history of one alert: what the guard did about it and who overruled it, and nothing of other alerts."""

from datetime import UTC, datetime, timedelta
from typing import Any

from control_plane.platform.auth.audit import AuditEntry
from dashboards.view_models.alert_history import ENTRIES_MAX, history

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


def entry(number: int, action: str, reason: str, **after: Any) -> AuditEntry:
    at = NOW - timedelta(hours=number)
    return AuditEntry(number, at, "guard", action, "rollout:SEARCH", None, after, reason, "0")


def test_it_has_what_names_the_alert_and_no_more() -> None:
    entries = [
        entry(1, "rollout.roll_back", "credit_variance: 25 of 3,128 were answered differently."),
        entry(2, "rollout.hold", "credit_drift: too far apart."),
        entry(3, "rollout.hold", "credit_variance_of_ours: another one."),
        entry(4, "alert.override", "Known.", alert="credit_variance"),
        entry(5, "alert.override", "Known too.", alert="credit_drift"),
        entry(6, "rollout.advance", "credit_variance: is fine now."),
    ]
    assert [each.id for each in history(entries, "credit_variance")] == [1, 4]


def test_it_ends_after_the_newest() -> None:
    entries = [entry(number, "alert.override", "Known.", alert="a") for number in range(1, 30)]
    assert [each.id for each in history(entries, "a")] == list(range(1, ENTRIES_MAX + 1))
