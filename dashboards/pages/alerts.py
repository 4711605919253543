"""The alerts: all of them, and one in detail."""

from datetime import UTC, datetime

from flask import render_template
from flask.typing import ResponseReturnValue

from control_plane.platform import security, settings
from control_plane.platform.database import reading
from control_plane.platform.problems import Problem
from dashboards import live
from dashboards.pages.blueprint import bp
from dashboards.regions import Regions, alerts_regions
from dashboards.screens import alerts as screens
from dashboards.screens.alerts import AlertsScreen


@bp.get("/alerts")
@security.require_role("viewer")
def alerts() -> ResponseReturnValue:
    """Every alert with what it has seen."""
    screen = _screen(datetime.now(UTC))
    return render_template("alerts.html", screen=screen, regions=alerts_regions(screen))


@bp.get("/live/alerts")
@security.require_role("viewer")
def live_alerts() -> ResponseReturnValue:
    """The same, as it changes."""
    return live.stream(_regions)


@bp.get("/alerts/<name>")
@security.require_role("viewer")
def alert(name: str) -> ResponseReturnValue:
    """One alert: its history, its settings, and how many errors it takes."""
    with reading() as session:
        screen = screens.read_one(
            session, name, now=datetime.now(UTC), lease_seconds=settings.current().guard_lease_seconds
        )
    if screen is None:
        raise Problem(404, "ALERT_NOT_FOUND", f"No rollout is guarded by an alert called {name!r}; see the list.")
    return render_template("alert.html", screen=screen)


def _regions(now: datetime) -> Regions:
    return alerts_regions(_screen(now))


def _screen(now: datetime) -> AlertsScreen:
    with reading() as session:
        return screens.read(session, now=now, lease_seconds=settings.current().guard_lease_seconds)
