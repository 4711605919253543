"""Usage of the credits on a page: by day, and by engine, plan, month of sign-up or account."""

from flask import render_template, request
from flask.typing import ResponseReturnValue

from control_plane.platform import clock
from control_plane.platform.auth import authorization
from control_plane.platform.db.database import read_only
from credits_engine.store.usage import Segment
from dashboards.view_models import usage as screens
from dashboards.views.blueprint import bp

DAYS_DEFAULT = "30"
ACCOUNT_CHARACTERS = 200


@bp.get("/usage")
@authorization.require_role("owner")
def usage() -> ResponseReturnValue:
    """Show how much was consumed, and which days stand out."""
    days, by = request.args.get("days", DAYS_DEFAULT), request.args.get("by", Segment.ENGINE.value)
    days = days if days in screens.SPANS else DAYS_DEFAULT
    account = request.args.get("account", "").strip()[:ACCOUNT_CHARACTERS]
    by = by if by in screens.divisions() else Segment.ENGINE.value
    with read_only() as session:
        if account:
            screen = screens.read_account(session, account, days=int(days), now=clock.now())
        else:
            screen = screens.read(session, days=int(days), by=by, now=clock.now())
    return render_template("usage.html", screen=screen, spans=screens.spans(), divisions=screens.divisions())
