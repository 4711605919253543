"""The audit trail."""

from datetime import UTC, datetime

from flask import render_template, request
from flask.typing import ResponseReturnValue

from control_plane.platform.auth import authorization
from control_plane.platform.db.database import read_only
from dashboards.view_models import audit as screens
from dashboards.views.blueprint import bp, row_id


@bp.get("/audit")
@authorization.require_role("viewer")
def audit_trail() -> ResponseReturnValue:
    """Show the audit trail; filters and place are in the address."""
    with read_only() as session:
        screen = screens.read(
            session,
            screens.CHAIN_CHECK.get(),
            subject=request.args.get("subject", ""),
            actor=request.args.get("actor", ""),
            before=request.args.get("before", type=row_id),
            now=datetime.now(UTC),
        )
    return render_template("audit.html", screen=screen)
