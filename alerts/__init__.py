"""The guard of every rollout: alerts, their evidence and verdicts, and what it does about them."""

from flask import Flask

from alerts import api, guard_job, prometheus_collector, sample_ratio, schemas, thresholds, verdict_snapshot
from alerts.drill import cleanup
from alerts.inbound import alertmanager, signals_api
from alerts.notifications import api as notices_api
from alerts.notifications import outbox, sender
from alerts.overrides import api as overrides_api
from alerts.sources import poller
from control_plane import rollouts
from control_plane.platform.settings import SETTINGS


def init_app(app: Flask) -> None:
    """Join the application."""
    guard_job.init_app(app, SETTINGS.get(app))
    cleanup.init_app(app)
    thresholds.init_app(app)
    sample_ratio.init_app(app)
    api.init_app(app)
    prometheus_collector.init_app(app)
    rollouts.register_audit_context(verdict_snapshot.NAME, verdict_snapshot.verdict_snapshot)
    alertmanager.init_app(app)
    signals_api.init_app(app)
    overrides_api.init_app(app)
    poller.init_app(app)
    outbox.init_app()
    sender.init_app(app)
    notices_api.init_app(app)
    schemas.init_app(app)
