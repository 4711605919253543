"""What watches the rollout: alerts, their evidence and verdicts, and the guard that acts on them."""

from flask import Flask

from alerts import api, bounds, described, exposition, guarding, sample_ratio, standing
from alerts.drill import ending
from alerts.intake import alertmanager, signals_api
from alerts.notices import api as notices_api
from alerts.notices import delivering, outbox
from alerts.overrides import api as overrides_api
from alerts.sources import polling
from control_plane import rollouts


def init_app(app: Flask) -> None:
    """Join the application."""
    guarding.init_app(app, app.extensions["settings"])
    ending.init_app(app)
    bounds.init_app(app)
    sample_ratio.init_app(app)
    api.init_app(app)
    exposition.init_app(app)
    rollouts.register_audit_context(standing.NAME, standing.standing)
    alertmanager.init_app(app)
    signals_api.init_app(app)
    overrides_api.init_app(app)
    polling.init_app(app)
    outbox.init_app()
    delivering.init_app(app)
    notices_api.init_app(app)
    described.init_app(app)
