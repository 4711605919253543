"""The guard of every rollout: alerts, their evidence and verdicts, and what it does about them."""

from flask import Flask

from alerts import (
    api,
    checks,
    gates,
    guard_job,
    new_attempts,
    prometheus_collector,
    sample_ratio,
    schemas,
    support_section,
    thresholds,
    traffic_check,
    verdict_snapshot,
)
from alerts.drill import cleanup
from alerts.drill import store as drills
from alerts.inbound import alertmanager, experiments_api, signals_api
from alerts.notifications import api as notices_api
from alerts.notifications import outbox, sender, targets
from alerts.overrides import api as overrides_api
from alerts.sources import poller
from control_plane import rollouts, support_bundle
from control_plane.checklists.checks import register_check
from control_plane.platform.settings import SETTINGS


def init_app(app: Flask) -> None:
    """Join the application."""
    guard_job.init_app(app, SETTINGS.get(app))
    cleanup.init_app(app)
    thresholds.init_app(app)
    sample_ratio.init_app(app)
    traffic_check.init_app(app)
    api.init_app(app)
    prometheus_collector.init_app(app)
    alertmanager.init_app(app)
    signals_api.init_app(app)
    experiments_api.init_app(app)
    overrides_api.init_app(app)
    poller.init_app(app)
    sender.init_app(app)
    notices_api.init_app(app)
    schemas.init_app(app)
    _register_with_rollouts()
    _register_checks()
    support_bundle.register_section("guard", support_section.guard_section)


def _register_with_rollouts() -> None:
    """Register all that a rollout asks or tells the alerts: before an advance or a re-arming, and at every change."""
    rollouts.register_gate("guardrails", gates.guardrails)
    rollouts.register_gate("safety", gates.safety)
    rollouts.register_gate("served", gates.served)
    rollouts.register_last_run("drill", drills.last_run)
    rollouts.register_rearm_gate("firing", gates.firing)
    rollouts.register_rearm_gate("alertmanager", alertmanager.firing)
    rollouts.register_audit_context(verdict_snapshot.NAME, verdict_snapshot.verdict_snapshot)
    rollouts.on_change("notices", outbox.enqueue_change)
    rollouts.on_change("accounts", new_attempts.on_change)
    rollouts.register_plan_check("notify", lambda _session, _flag, plan: targets.plan_reasons(plan))


def _register_checks() -> None:
    """Register what checklists may ask the guard."""
    register_check("alert", checks.alert_check, of_production=False)
    register_check("below", checks.below_check, of_production=False)
    register_check("guard-drill", checks.drill_check, of_production=False)
    register_check("notification-target", checks.target_check, of_production=False)
