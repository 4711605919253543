"""Checklists: what has to be done before a phase is left, ticked by checks or signed by people."""

from datetime import timedelta

from flask import Flask

from control_plane import rollouts
from control_plane.checklists import api, check_job, checks, gate, outdated_signatures
from control_plane.checklists.builtin_checks import route_check, schema_check


def init_app(app: Flask) -> None:
    """Join the application; inside an application context."""
    api.init_app(app)
    check_job.init_app(app)
    checks.register_check("schema", schema_check, of_production=False)
    checks.register_check("route", route_check, every=timedelta(minutes=5), of_production=False)
    rollouts.on_change("checklists", outdated_signatures.on_change)
    rollouts.register_gate(gate.GATE, gate.gate)
    rollouts.register_plan_check("checklists", checks.unknown_checks)
