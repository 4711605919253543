"""The alerts as a Grafana dashboard: a panel for each with its threshold, the guard's state, and the server. Pure.

The panels of alerts read what the exported Prometheus rules record, so both are always about the same alerts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from alerts.analysis.rules import Rule
from alerts.export.expressions import recorded_as, span

Document = dict[str, Any]

SCHEMA_VERSION = 39
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH, COLUMNS, HEIGHT = 24, 3, 7
QUANTILE = "histogram_quantile(0.95, sum by (le) (rate({name}_bucket[5m])))"


@dataclass(frozen=True, slots=True)
class Panel:
    """A time series: its title, query, what its lines are called, unit, and the value not to be passed."""

    title: str
    query: str
    legend: str
    unit: str
    threshold: float | None = None


GUARD = (
    Panel("Whether the candidate is open to anybody", "max by (flag) (guard_exposed)", "{{flag}}", "bool_yes_no"),
    Panel(
        "Evidence of a breach, as a share of what rolls back",
        "max by (flag, alert) (guard_evidence_log10 / guard_rollback_log10)",
        "{{flag}} {{alert}}",
        "percentunit",
        1.0,
    ),
    Panel(
        "Rollbacks in the last hour",
        "sum by (flag, alert) (increase(guard_rollbacks_total[1h]))",
        "{{flag}} {{alert}}",
        "short",
    ),
    Panel("Until exposure ends without the guard", "min(guard_lease_seconds_left)", "left", "s"),
    Panel("Since the guard last judged", "max(guard_lag_seconds)", "lag", "s"),
    Panel("Time of one look at all alerts", QUANTILE.format(name="guard_tick_seconds"), "p95", "s"),
)
SERVER = (
    Panel("Requests a second", "sum by (status) (rate(rollout_http_requests_total[5m]))", "{{status}}", "reqps"),
    Panel("Time to the first byte", QUANTILE.format(name="rollout_http_request_seconds"), "p95", "s"),
    Panel("Time of a database statement", QUANTILE.format(name="rollout_database_statement_seconds"), "p95", "s"),
    Panel("Threads in use", "sum(rollout_requests_in_progress) / sum(rollout_threads)", "share", "percentunit"),
    Panel("Wait for a connection", QUANTILE.format(name="rollout_database_pool_wait_seconds"), "p95", "s"),
    Panel("Slow statements a second", "sum(rate(rollout_database_slow_statements_total[5m]))", "slow", "ops"),
    Panel("Stripe's events that wait", "max by (state) (rollout_billing_waiting)", "{{state}}", "short"),
    Panel("Books that differ from the journal", "max(rollout_credit_reconcile_differences)", "books", "short", 1.0),
    Panel(
        "Notices a second, by outcome",
        "sum by (outcome) (rate(rollout_notice_deliveries_total[5m]))",
        "{{outcome}}",
        "ops",
    ),
)


def dashboard(rules: Sequence[Rule]) -> Document:
    """Return the dashboard as Grafana imports it."""
    alerts = [_of_alert(rule) for rule in rules]
    panels = list(_placed((("Alerts", alerts), ("The guard", GUARD), ("The server", SERVER))))
    return {
        "uid": "rollout",
        "title": "Rollout",
        "tags": ["rollout"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [{"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}]
        },
        "panels": panels,
    }


def _of_alert(rule: Rule) -> Panel:
    title = f"{rule.name} of {rule.flag}, last {span(rule)}"
    return Panel(title, recorded_as(rule), "rate", "percentunit", rule.threshold)


def _placed(sections: Sequence[tuple[str, Sequence[Panel]]]) -> Iterator[Document]:
    numbers, top = count(1), 0
    for title, panels in sections:
        yield {"id": next(numbers), "type": "row", "title": title, "gridPos": _place(0, top, WIDTH, 1), "panels": []}
        top += 1
        for place, panel in enumerate(panels):
            across, down = place % COLUMNS, place // COLUMNS
            width = WIDTH // COLUMNS
            yield _panel(panel, next(numbers)) | {"gridPos": _place(across * width, top + down * HEIGHT, width, HEIGHT)}
        top += -(-len(panels) // COLUMNS) * HEIGHT


def _panel(panel: Panel, number: int) -> Document:
    steps: list[Document] = [{"color": "green", "value": None}]
    if panel.threshold is not None:
        steps.append({"color": "red", "value": panel.threshold})
    return {
        "id": number,
        "type": "timeseries",
        "title": panel.title,
        "datasource": DATASOURCE,
        "targets": [{"refId": "A", "datasource": DATASOURCE, "expr": panel.query, "legendFormat": panel.legend}],
        "fieldConfig": {
            "defaults": {
                "unit": panel.unit,
                "min": 0,
                "thresholds": {"mode": "absolute", "steps": steps},
                "custom": {"thresholdsStyle": {"mode": "off" if panel.threshold is None else "line"}},
            },
            "overrides": [],
        },
    }


def _place(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": width, "h": height}
