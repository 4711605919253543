"""The credits of one user."""

from datetime import UTC, datetime

from flask import render_template, request
from flask.typing import ResponseReturnValue

from control_plane.platform import security
from control_plane.platform.database import reading
from dashboards.pages.blueprint import bp, row_id
from dashboards.screens import credits as screens


@bp.get("/credits", endpoint="credits")
@security.require_role("viewer")
def show_credits() -> ResponseReturnValue:
    """Both books and the journal of a user; without one, where the engines differed lately."""
    user_id = request.args.get("user", "").strip()
    before = request.args.get("before", type=row_id)
    with reading() as session:
        screen = screens.read(session, user_id, before=before, now=datetime.now(UTC))
    return render_template("credits.html", screen=screen)
