"""Rolling back from wherever one is: one page with every rollout that can be, one reason, one button each."""

from flask import render_template, request
from flask.typing import ResponseReturnValue

from control_plane.platform import clock
from control_plane.platform.auth import authorization
from control_plane.platform.db.database import read_only
from dashboards.view_models import roll_back as screens
from dashboards.views.blueprint import bp

TEXT_CHARACTERS = 200


@bp.get("/roll-back")
@authorization.require_role("operator")
def roll_back() -> ResponseReturnValue:
    """Show what can be rolled back; each button does what the page of its rollout does."""
    with read_only() as session:
        screen = screens.read(session, request.args.get("q", "").strip()[:TEXT_CHARACTERS], clock.now())
    return render_template("roll_back.html", screen=screen)
