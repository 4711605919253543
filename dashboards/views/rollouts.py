"""The list of rollouts, which is the front page."""

from datetime import UTC, datetime

from flask import render_template
from flask.typing import ResponseReturnValue

from control_plane.platform import settings
from control_plane.platform.auth import authorization
from control_plane.platform.db.database import read_only
from dashboards import sse
from dashboards.fragments import Fragments, rollouts_fragments
from dashboards.view_models import rollouts as screens
from dashboards.view_models.rollouts import RolloutsScreen
from dashboards.views.blueprint import bp


@bp.get("/")
@authorization.require_role("viewer")
def rollouts() -> ResponseReturnValue:
    """Every rollout, the urgent first."""
    screen = _screen(datetime.now(UTC))
    return render_template("rollouts.html", screen=screen, regions=rollouts_fragments(screen))


@bp.get("/live/rollouts")
@authorization.require_role("viewer")
def live_rollouts() -> ResponseReturnValue:
    """Stream the page as it changes."""
    return sse.stream(_regions)


def _regions(now: datetime) -> Fragments:
    return rollouts_fragments(_screen(now))


def _screen(now: datetime) -> RolloutsScreen:
    with read_only() as session:
        return screens.read(session, now=now, lease_seconds=settings.current().guard_lease_seconds)
