"""Usage of the credits on a page: by day, and by engine, plan or month of sign-up."""

from flask import render_template, request
from flask.typing import ResponseReturnValue

from control_plane.platform import clock
from control_plane.platform.auth import authorization
from control_plane.platform.db.database import read_only
from credits_engine.store.usage import Segment
from dashboards.view_models import usage as screens
from dashboards.views.blueprint import bp

DAYS_DEFAULT = "30"


@bp.get("/usage")
@authorization.require_role("owner")
def usage() -> ResponseReturnValue:
    """Show how much was consumed, and which days stand out."""
    days, by = request.args.get("days", DAYS_DEFAULT), request.args.get("by", Segment.ENGINE.value)
    days = days if days in screens.SPANS else DAYS_DEFAULT
    segment = Segment(by) if by in screens.DIVISIONS else Segment.ENGINE
    with read_only() as session:
        screen = screens.read(session, days=int(days), by=segment, now=clock.now())
    return render_template("usage.html", screen=screen, spans=screens.SPANS, divisions=screens.DIVISIONS)
