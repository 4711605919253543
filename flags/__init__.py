"""Feature flags: evaluation with reasons, and the wire protocols of the official SDKs."""

from flask import Flask

from control_plane import rollouts
from control_plane.plans.previews import register_change_query
from control_plane.platform.settings import SETTINGS
from control_plane.rollouts.losses import register_loss_query
from control_plane.rollouts.segments import register_segment_query
from flags import api, snapshot
from flags.administration import changes, losses, overrides, plan_checks, plan_segments
from flags.client_features import guard_lag_signal, reach_counts, refresher, staleness_signal, user_directory
from flags.protocols import client_api, edge_api, frontend, ofrep, sse, streaming, wsgi_fast_path
from flags.usage import reporter


def init_app(app: Flask) -> None:
    """Join the application."""
    settings = SETTINGS.get(app)
    snapshot.init_app(app, settings)
    refresher.init_app(app, settings)
    staleness_signal.init_app(app)
    guard_lag_signal.init_app(app)
    reach_counts.init_app(app, user_directory.init_app(app, settings).users)
    reporter.init_app(app)
    overrides.init_app(app)
    rollouts.on_change("overrides", overrides.end_deleted)
    rollouts.on_change("definitions", plan_checks.refuse_defined)
    rollouts.register_plan_check("flags", plan_checks.plan_reasons)
    register_loss_query(losses.loss)
    register_segment_query(plan_segments.plan_segments)
    register_change_query(changes.changes)
    sse.init_app(app, settings)
    client_api.read_tags_from_database(app)
    for routes in (api, client_api, streaming, edge_api, frontend, ofrep, wsgi_fast_path):
        routes.init_app(app)
