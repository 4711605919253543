"""Why a user has the flag: a question in the address, so that the answer can be linked to."""

from flask import render_template, request
from flask.typing import ResponseReturnValue

from control_plane.audiences.exposure import PRODUCTION
from control_plane.core.phases import PRE_PRODUCTION
from control_plane.platform import clock, settings
from control_plane.platform.auth import authorization
from control_plane.platform.db.database import read_only
from dashboards.view_models import explain as screens
from dashboards.views.blueprint import bp

ENVIRONMENTS = (PRODUCTION, *PRE_PRODUCTION)


@bp.get("/explain")
@authorization.require_role("viewer")
def explain() -> ResponseReturnValue:
    """Return the form, and the answer once a user is named."""
    parameters = {name: request.args.get(name, "").strip() for name in ("flag", "user", "environment", "attributes")}
    with read_only() as session:
        screen = screens.read(
            session,
            flag=parameters["flag"],
            user_id=parameters["user"],
            environment=parameters["environment"] or settings.current().environment,
            attributes=parameters["attributes"],
            now=clock.now(),
        )
    environments = sorted({*ENVIRONMENTS, screen.environment})
    return render_template("explain.html", screen=screen, environments=environments)
