"""The page about the installation."""

from flask import render_template
from flask.typing import ResponseReturnValue

from control_plane.platform import clock, settings
from control_plane.platform.auth import authorization
from control_plane.platform.db.database import read_only
from control_plane.platform.http import health
from dashboards import sse
from dashboards.view_models import system as screens
from dashboards.views.blueprint import bp


@bp.get("/system")
@authorization.require_role("viewer")
def system() -> ResponseReturnValue:
    """Show readiness, leader, guard, freshness."""
    checks = health.checks()
    with read_only() as session:
        screen = screens.read(session, settings.current(), checks=checks, streams=sse.streams(), now=clock.now())
    return render_template("system.html", screen=screen)
