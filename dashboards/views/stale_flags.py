"""Flags whose time is over."""

from flask import render_template
from flask.typing import ResponseReturnValue

from control_plane.platform import clock
from control_plane.platform.auth import authorization
from control_plane.platform.db.database import read_only
from dashboards.views.blueprint import bp
from flags.administration.stale import stale_flags


@bp.get("/flags/stale")
@authorization.require_role("viewer")
def stale() -> ResponseReturnValue:
    """Show them by cause."""
    now = clock.now()
    with read_only() as session:
        found = stale_flags(session, now)
    return render_template("stale_flags.html", flags=found, now=now)
