"""The list of rollouts, which is the front page."""

from datetime import datetime
from functools import partial

from flask import render_template, request
from flask.typing import ResponseReturnValue

from control_plane.core.lifecycle import Stage
from control_plane.platform import clock, settings
from control_plane.platform.auth import authorization
from control_plane.platform.db.database import read_only
from control_plane.rollouts.listing import ListedState, RolloutQuery
from dashboards import sse
from dashboards.fragments import Fragments, rollouts_fragments
from dashboards.view_models import rollouts as screens
from dashboards.view_models.rollouts import RolloutsScreen
from dashboards.views.blueprint import bp, reader_language, row_id


@bp.get("/")
@authorization.require_role("viewer")
def rollouts() -> ResponseReturnValue:
    """Return every rollout, the urgent first."""
    screen = _screen(_wanted(), _page(), clock.now())
    choices = {"states": list(ListedState), "stages": list(Stage)}
    return render_template("rollouts.html", screen=screen, regions=rollouts_fragments(screen), **choices)


@bp.get("/live/rollouts")
@authorization.require_role("viewer")
def live_rollouts() -> ResponseReturnValue:
    """Stream the page as it changes."""
    return sse.stream(partial(_regions, _wanted(), _page()), reader_language)


def _regions(wanted: RolloutQuery, page: int, now: datetime) -> Fragments:
    return rollouts_fragments(_screen(wanted, page, now))


def _screen(wanted: RolloutQuery, page: int, now: datetime) -> RolloutsScreen:
    lease_seconds = settings.current().guard_lease_seconds
    with read_only() as session:
        return screens.read(session, wanted, page=page, now=now, lease_seconds=lease_seconds)


def _wanted() -> RolloutQuery:
    query = request.args
    state = ListedState(query["state"]) if query.get("state") in tuple(ListedState) else None
    stage = Stage(query["stage"]) if query.get("stage") in tuple(Stage) else None
    return RolloutQuery(q=query.get("q", "")[:200], tag=query.get("tag", "")[:100], state=state, stage=stage)


def _page() -> int:
    return request.args.get("page", 1, type=row_id)
