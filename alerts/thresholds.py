"""What is counted, and from when on it is bad, as alerts.yaml has it now: told to every process, since each counts."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from flask import Flask
from sqlalchemy.orm import Session

from alerts.analysis.rules import Rule
from alerts.definitions import rules_file
from control_plane.experiments.registry import registered_migrations
from control_plane.platform.db.database import autocommit
from control_plane.platform.observability import signals
from control_plane.platform.runtime import jobs
from control_plane.platform.settings import current
from control_plane.rollout_names import PRODUCTION, rollout_name
from control_plane.rollouts import store
from control_plane.signal_names import in_environment

REFRESH_SECONDS = 2.0


def bounds(rules: Iterable[Rule]) -> dict[str, float]:
    """Return seconds by signal; of two alerts on one duration the stricter one, for it is counted once."""
    found: dict[str, float] = {}
    for rule in rules:
        if rule.slow_ms is not None:
            seconds = rule.slow_ms / 1000
            found[rule.metric.signal] = min(found.get(rule.metric.signal, seconds), seconds)
    return found


def budgets(rules: Iterable[Rule]) -> dict[str, int]:
    """Return credits by signal, where an alert says how many; of two the smaller budget."""
    found: dict[str, int] = {}
    for rule in rules:
        if rule.credits_budget is not None:
            found[rule.metric.signal] = min(found.get(rule.metric.signal, rule.credits_budget), rule.credits_budget)
    return found


def signals_by_account(rules: Iterable[Rule]) -> frozenset[str]:
    """Return the signals that are counted by account as well: of alerts per account, and of whose fault it is."""
    found: set[str] = set()
    for rule in rules:
        names = rule.migration.signals
        if rule.by_account:
            found |= {rule.metric.signal, names.failure, names.failed_candidate_only, names.failed_control_only}
    return frozenset(found)


def names_in_environment(session: Session, environment: str) -> Mapping[str, str]:
    """Return the names under which outcomes are counted that rollouts of this environment alone decide."""
    return {
        signal: in_environment(signal, environment)
        for migration in registered_migrations()
        if environment != PRODUCTION and store.load(session, rollout_name(migration.flag, environment))
        for signal in migration.signals.all
    }


def init_app(app: Flask) -> None:
    """Tell this process now, and again whenever the file was changed."""
    _apply(rules_file.current().rules)
    jobs.jobs_of(app).run_on_all(REFRESH_SECONDS, "alert-bounds", refresh)


def refresh(_now: datetime) -> None:
    """Tell this process what the file says now, and which rollouts decide in its own environment."""
    _apply(rules_file.current().refresh())
    if (environment := current().environment) != PRODUCTION:  # whose outcomes are the flag's own, always
        with autocommit() as session:
            signals.set_names(names_in_environment(session, environment))


def _apply(rules: Sequence[Rule]) -> None:
    signals.set_bounds(bounds(rules))
    signals.set_budgets(budgets(rules))
    signals.count_by_account(signals_by_account(rules))
