"""The guard in the running application: one tick a second on the leader, or when somebody drives it by hand."""

from datetime import datetime

from flask import Flask

from alerts import cohort_store, guard, prometheus_collector
from alerts.definitions import rules_file
from alerts.drill.flag import with_drill
from control_plane.core.transitions import Transition
from control_plane.experiments.registry import registered_migrations, set_declared_migrations
from control_plane.platform import start_checks
from control_plane.platform.db.database import transaction
from control_plane.platform.observability import account_failures, cohort_counts, signal_points, signals
from control_plane.platform.runtime import jobs
from control_plane.platform.settings import Settings, current

TICK_SECONDS = 1.0
FORGET_SECONDS = 300.0


def run_guard(now: datetime, term: int) -> list[Transition]:
    """Run one tick: this process's counts are written first, so that what just happened is judged now.

    Raises SettingsError while alerts.yaml could never be used: without a heartbeat, exposure in production ends.
    """
    found = rules_file.current()
    rules = with_drill(found.refresh())
    found.require()
    with prometheus_collector.TICKS.time(), transaction() as session:
        signals.write(session, now)
        return guard.tick(session, rules, now=now, term=term, lease_seconds=current().guard_lease_seconds)


def init_app(app: Flask, settings: Settings) -> None:
    """Read the alerts and put the guard on the leader's schedule."""
    rules = rules_file.RulesFile(settings.alerts_file, registered_migrations)
    rules_file.RULES_FILE.set(app, rules)
    set_declared_migrations(lambda: rules_file.current().declared)
    start_checks.register(app, rules.require)
    jobs.jobs_of(app).run_fenced(TICK_SECONDS, "guard", run_guard)
    jobs.run_on_leader(app, FORGET_SECONDS, "forget-slices", _forget)


def _forget(now: datetime) -> None:
    with transaction() as session:
        signal_points.forget_minutes(session, now)
    with transaction() as session:
        signal_points.forget_slices(session, now)
        account_failures.forget(session, now)
        cohort_counts.forget(session, now)
        cohort_store.forget(session, now)
