"""How the installation is."""

from datetime import UTC, datetime

from flask import render_template
from flask.typing import ResponseReturnValue

from control_plane.platform import health, security, settings
from control_plane.platform.database import reading
from dashboards.pages.blueprint import bp
from dashboards.screens import system as screens


@bp.get("/system")
@security.require_role("viewer")
def system() -> ResponseReturnValue:
    """Readiness, leader, guard, freshness."""
    checks = health.checks()
    with reading() as session:
        screen = screens.read(session, settings.current(), checks=checks, now=datetime.now(UTC))
    return render_template("system.html", screen=screen)
