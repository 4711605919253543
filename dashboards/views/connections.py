"""The SDK instances that are connected, and whether each has what its environment is given now."""

from flask import render_template
from flask.typing import ResponseReturnValue

from control_plane.platform import clock
from control_plane.platform.auth import authorization
from control_plane.platform.db.database import read_only
from dashboards.view_models import connections as screens
from dashboards.views.blueprint import bp


@bp.get("/connections")
@authorization.require_role("viewer")
def connections() -> ResponseReturnValue:
    """Show who was heard of lately."""
    with read_only() as session:
        screen = screens.read(session, clock.now())
    return render_template("connections.html", screen=screen)
