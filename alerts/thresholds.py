"""From when on what is counted is bad, as alerts.yaml has it now: told to every process, since each of them counts."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from flask import Flask

from alerts.analysis.rules import Rule
from alerts.definitions import rules_file
from control_plane.platform.observability import signals
from control_plane.platform.runtime import jobs

REFRESH_SECONDS = 2.0


def bounds(rules: Iterable[Rule]) -> dict[str, float]:
    """Seconds by signal; of two alerts on one duration the stricter one, for it is counted once."""
    found: dict[str, float] = {}
    for rule in rules:
        if rule.slow_ms is not None:
            seconds = rule.slow_ms / 1000
            found[rule.metric.signal] = min(found.get(rule.metric.signal, seconds), seconds)
    return found


def budgets(rules: Iterable[Rule]) -> dict[str, int]:
    """Credits by signal, where an alert says how many; of two the smaller budget."""
    found: dict[str, int] = {}
    for rule in rules:
        if rule.budget is not None:
            found[rule.metric.signal] = min(found.get(rule.metric.signal, rule.budget), rule.budget)
    return found


def init_app(app: Flask) -> None:
    """Tell this process now, and again whenever the file was changed."""
    _apply(rules_file.current().rules)
    jobs.jobs_of(app).run_on_all(REFRESH_SECONDS, "alert-bounds", _refresh)


def _refresh(_now: datetime) -> None:
    _apply(rules_file.current().refresh())


def _apply(rules: Sequence[Rule]) -> None:
    signals.set_bounds(bounds(rules))
    signals.set_budgets(budgets(rules))
