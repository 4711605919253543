"""The list of rollouts, which is the front page."""

from datetime import UTC, datetime

from flask import render_template
from flask.typing import ResponseReturnValue

from control_plane.platform import settings
from control_plane.platform.auth import authorization
from control_plane.platform.db.database import read_only
from dashboards import live
from dashboards.pages.blueprint import bp
from dashboards.regions import Regions, rollouts_regions
from dashboards.screens import rollouts as screens
from dashboards.screens.rollouts import RolloutsScreen


@bp.get("/")
@authorization.require_role("viewer")
def rollouts() -> ResponseReturnValue:
    """Every rollout, the urgent first."""
    screen = _screen(datetime.now(UTC))
    return render_template("rollouts.html", screen=screen, regions=rollouts_regions(screen))


@bp.get("/live/rollouts")
@authorization.require_role("viewer")
def live_rollouts() -> ResponseReturnValue:
    """The same, as it changes."""
    return live.stream(_regions)


def _regions(now: datetime) -> Regions:
    return rollouts_regions(_screen(now))


def _screen(now: datetime) -> RolloutsScreen:
    with read_only() as session:
        return screens.read(session, now=now, lease_seconds=settings.current().guard_lease_seconds)
